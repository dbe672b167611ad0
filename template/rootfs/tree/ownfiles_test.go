package tree

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/rootfs"
	"croft/template/roottest"
)

// A VPS gets copies of all frozen layers as its own files, with its own ids.
func TestMakeOwn(t *testing.T) {
	roottest.NeedRoot(t)
	top := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	layers := []string{filepath.Join(top, "upper"), filepath.Join(top, "lower")}
	for _, dir := range layers {
		must(os.Mkdir(dir, 0o755))
	}
	everything(t, layers[1])
	must(unix.Removexattr(filepath.Join(layers[1], "dir"), "trusted.overlay.redirect"))
	capable := filepath.Join(layers[1], "capable")
	capability := roottest.Xattrs(t, capable)["security.capability"]
	must(filepath.WalkDir(layers[1], func(path string, _ os.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		if err == nil && st.Uid == 0 {
			err = os.Lchown(path, 100000, 100000)
		}
		for name, value := range roottest.Xattrs(t, path) {
			if strings.HasPrefix(name, "system.posix_acl_") && err == nil { // for its user 12, too
				err = unix.Lsetxattr(path, name, []byte(strings.ReplaceAll(value, "\x0c\x00\x00\x00", "\xac\x86\x01\x00")), 0)
			}
		}
		return err
	}))
	must(unix.Setxattr(capable, "security.capability", []byte(capability), 0)) // the new owner has removed it
	must(os.Chown(filepath.Join(layers[1], "dir"), 100007, 100007))
	must(os.Chown(layers[0], 100000, 100000))
	must(os.WriteFile(filepath.Join(layers[0], "setuid"), []byte("changed"), 0o600))
	must(os.Chown(filepath.Join(layers[0], "setuid"), 100000, 100000))
	must(unix.Mknod(filepath.Join(layers[0], "with-acl"), unix.S_IFCHR, 0))
	must(os.MkdirAll(filepath.Join(layers[0], "dir/more"), 0o755))
	must(os.Chown(filepath.Join(layers[0], "dir"), 100009, 100009))
	template := filepath.Join(top, "template")
	must(os.Mkdir(template, 0o755))
	before := roottest.Exact(t, layers[0], nil) + roottest.Exact(t, layers[1], nil)

	own := func(first uint32) rootfs.Rootfs {
		t.Helper()
		r := rootfs.Rootfs{Layers: []string{template}, Dir: filepath.Join(top, "fs"), First: first, Size: 65536}
		for _, dir := range layers {
			r.Frozen = append(r.Frozen, rootfs.Frozen{Dir: dir, First: 100000, Size: 65536})
		}
		must(os.RemoveAll(r.Dir))
		must(MakeOwn(t.Context(), r))
		return r
	}
	same := own(100000)
	if got, err := os.ReadDir(same.Dir); err != nil || len(got) != 2 {
		t.Errorf("there is %v, %v", got, err)
	}
	if _, err := os.Lstat(filepath.Join(same.Upper(), "dir/link")); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(same.Upper(), "setuid"))
	if err != nil || string(text) != "changed" {
		t.Errorf("of a file in two layers it has %q, %v", text, err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(same.Upper(), "with-acl"), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR {
		t.Errorf("what the VPS removed is %o, %v", st.Mode, err)
	}
	if err := unix.Lstat(filepath.Join(same.Upper(), "zz-linked"), &st); err != nil || st.Nlink != 2 {
		t.Errorf("a hard link has %d names, %v", st.Nlink, err)
	}

	other := own(900000)
	owner := func(name string, uid uint32) {
		t.Helper()
		if err := unix.Lstat(filepath.Join(other.Upper(), name), &st); err != nil || st.Uid != uid {
			t.Errorf("%s belongs to %d and not %d, %v", name, st.Uid, uid, err)
		}
	}
	owner("dir/link", 900001)
	if got := roottest.Xattrs(t, filepath.Join(other.Upper(), "dir/file"))["system.posix_acl_access"]; !strings.Contains(got, "\xac\xbb\x0d\x00") {
		t.Errorf("its ACL is %q", got)
	}
	owner("dir", 900009) // as in the topmost layer
	if got := roottest.Xattrs(t, filepath.Join(other.Upper(), "capable"))["security.capability"]; got != capability[:20]+"\xa0\xbb\x0d\x00" {
		t.Errorf("its capabilities are %q", got)
	}
	if after := roottest.Exact(t, layers[0], nil) + roottest.Exact(t, layers[1], nil); after != before {
		t.Error("the layers have changed")
	}
	must(os.Chown(filepath.Join(layers[0], "setuid"), 7, 7))
	other.Dir = filepath.Join(top, "another")
	if err := MakeOwn(t.Context(), other); !fail.Is(err, fail.State) {
		t.Errorf("with a file of another owner: %v", err)
	}
}
