package filecopy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/nsthread"
	"croft/template/roottest"
)

// edit replaces the content of a file, as an editor would.
func edit(t *testing.T, tree Tree, name, text string) error {
	t.Helper()
	was, err := tree.ReadText(name)
	if err != nil {
		return err
	}
	return tree.WriteText(name, was, []byte(text))
}

func content(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// entries are the names in a directory: no temporary file is among them.
func entries(t *testing.T, dir string) int {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestTextKeepsEverythingElse(t *testing.T) {
	roottest.NeedRoot(t)
	tree, dir := open(t, web, "web:")
	name := dir + "/etc/tool"
	write(t, name, "old\n", 700033, 700034, 0o750|os.ModeSetuid)
	capability := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	for key, value := range map[string]string{"user.note": "kept", "security.capability": capability} {
		if err := unix.Setxattr(name, key, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(name, dir+"/etc/other"); err != nil {
		t.Fatal(err)
	}
	if was, err := tree.ReadText("/etc/tool"); err != nil || was.Names != 2 {
		t.Errorf("%d names, %v", was.Names, err)
	}
	before, err := keptOf(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := edit(t, tree, "/etc/tool", "new\n"); err != nil {
		t.Fatal(err)
	}
	after, err := keptOf(name)
	if err != nil || len(before) < 2 || len(after) != len(before) || after["user.note"] != "kept" || after["security.capability"] != before["security.capability"] {
		t.Errorf("attributes %q, and before %q, %v", after, before, err)
	}
	if got := owner(t, name); got != "700033:700034 4750" || content(t, name) != "new\n" {
		t.Errorf("it is %s with %q", got, content(t, name))
	}
	if content(t, dir+"/etc/other") != "old\n" || entries(t, dir+"/etc") != 2 {
		t.Errorf("the other hard link has %q; %d files", content(t, dir+"/etc/other"), entries(t, dir+"/etc"))
	}
}

func keptOf(name string) (map[string]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return keptXattrs(int(f.Fd()))
}

// A new version has no ACL that only its directory has.
func TestTextTakesNoDefaultACL(t *testing.T) {
	roottest.NeedRoot(t)
	tree, dir := open(t, web, "web:")
	write(t, dir+"/f", "old", 700000, 700000, 0o640)
	if out, err := exec.Command("setfacl", "-d", "-m", "u:7:rwx", dir).CombinedOutput(); err != nil {
		t.Skipf("setfacl: %v: %s", err, out)
	}
	if err := edit(t, tree, "f", "new"); err != nil {
		t.Fatal(err)
	}
	kept, err := keptOf(dir + "/f")
	if _, has := kept["system.posix_acl_access"]; has || err != nil || owner(t, dir+"/f") != "700000:700000 640" {
		t.Errorf("%q, %s, %v", kept, owner(t, dir+"/f"), err)
	}
}

// Links lead to files of the tree, wherever they point.
func TestTextFollowsLinksInside(t *testing.T) {
	roottest.NeedRoot(t)
	tree, dir := open(t, web, "web:")
	outside := filepath.Join(t.TempDir(), "secret")
	write(t, outside, "host", 0, 0, 0o644)
	write(t, dir+outside, "inside", 700000, 700000, 0o644)
	write(t, dir+"/run/sub/real", "old", 700000, 700000, 0o644)
	for name, to := range map[string]string{
		"/abs": "/run/sub/real", "/rel": "run/../run/sub/real", "/dir": "run/sub", "/run/sub/up": "../../../../run/sub/real", "/out": outside,
		"/chain": "/rel", "/loop": "loop", "/nowhere": "missing", "/magic": "/proc/self/root" + outside,
	} {
		if err := os.Symlink(to, dir+name); err != nil {
			t.Fatal(err)
		}
	}
	// A ".." after a link is that of the link's target.
	for _, name := range []string{"/abs", "rel", "/dir/real", "/dir/up", "/chain", "/dir/../sub/real"} {
		if err := edit(t, tree, name, name); err != nil || content(t, dir+"/run/sub/real") != name {
			t.Errorf("%s: %v, %q", name, err, content(t, dir+"/run/sub/real"))
		}
	}
	if err := edit(t, tree, "/out", "new"); err != nil || content(t, outside) != "host" || content(t, dir+outside) != "new" {
		t.Errorf("%v: the host's has %q, that inside %q", err, content(t, outside), content(t, dir+outside))
	}
	for name, kind := range map[string]fail.Kind{"/loop": fail.State, "/nowhere": fail.NotFound, "/magic": fail.NotFound, "/missing/f": fail.NotFound} {
		if err := edit(t, tree, name, "x"); !fail.Is(err, kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if kind, err := os.Lstat(dir + "/abs"); err != nil || kind.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is %v, %v", kind, err)
	}
}

// Only regular files that are not the kernel's are read, and no other is opened.
func TestTextOfOtherFiles(t *testing.T) {
	roottest.NeedRoot(t)
	tree, dir := open(t, web, "web:")
	write(t, dir+"/large", "", 700000, 700000, 0o644)
	if err := os.Truncate(dir+"/large", MaxText+1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(dir+"/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(dir+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/", "/large", "/pipe", "/null"} {
		if _, err := tree.ReadText(name); !fail.Is(err, fail.State) {
			t.Errorf("%s: %v", name, err)
		}
	}
	host, err := os.OpenFile("/", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	if _, err := (Tree{Root: host}).ReadText("/proc/sys/kernel/hostname"); !fail.Is(err, fail.State) {
		t.Errorf("a file of /proc: %v", err)
	}
}

// What the guest changes meanwhile stays.
func TestTextThatChangedMeanwhile(t *testing.T) {
	roottest.NeedRoot(t)
	tree, dir := open(t, web, "web:")
	name := dir + "/f"
	for what, change := range map[string]func() error{
		"content":   func() error { return os.WriteFile(name, []byte("guest"), 0o600) },
		"owner":     func() error { return os.Chown(name, 700001, 700000) },
		"mode":      func() error { return os.Chmod(name, 0o600) },
		"attribute": func() error { return unix.Setxattr(name, "user.x", []byte("1"), 0) },
		"kind":      func() error { return os.Remove(name) },
		"link": func() error {
			if err := os.Rename(name, dir+"/g"); err != nil {
				return err
			}
			write(t, dir+"/other", "guest", 700000, 700000, 0o644)
			return os.Symlink("other", name)
		},
	} {
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
		write(t, name, "old", 700000, 700000, 0o644)
		was, err := tree.ReadText("f")
		if err != nil {
			t.Fatal(err)
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(name)
		err = tree.WriteText("f", was, []byte("mine"))
		if !fail.Is(err, fail.State) && !fail.Is(err, fail.NotFound) {
			t.Errorf("%s: %v", what, err)
		}
		if after, _ := os.ReadFile(name); !bytes.Equal(before, after) {
			t.Errorf("%s: %q is now %q", what, before, after)
		}
		if left, _ := filepath.Glob(dir + "/.f*"); len(left) > 0 {
			t.Errorf("%s: %q stays", what, left)
		}
	}
}

// What cannot be written to is named, and stays.
func TestTextOnAReadOnlyFilesystem(t *testing.T) {
	roottest.NeedRoot(t)
	tree, dir := open(t, web, "web:")
	write(t, dir+"/data/f", "old", 700000, 700000, 0o644)
	err := nsthread.PrivateMounts(func() {
		err := unix.Mount(dir+"/data", dir+"/data", "", unix.MS_BIND, "")
		if err == nil {
			err = unix.Mount("", dir+"/data", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
		}
		if err != nil {
			t.Error(err)
			return
		}
		root, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer root.Close()
		tree.Root = root
		if err := edit(t, tree, "data/f", "new"); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), "web:data/f is on a read-only filesystem") {
			t.Errorf("edit: %v", err)
		}
		source := End{Tree: tree, Path: "data/f"}
		if _, err := Copy(t.Context(), source, End{Tree: tree, Path: "data/g"}, Options{}); !fail.Is(err, fail.State) {
			t.Errorf("copy: %v", err)
		}
	})
	if err != nil || content(t, dir+"/data/f") != "old" {
		t.Errorf("%v, %q", err, content(t, dir+"/data/f"))
	}
}
