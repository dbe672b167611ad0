//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"croft/template/roottest"
)

// Snapshots, clones and restores keep a tree exactly: hard links, attributes, ACLs, file
// capabilities, holes, nodes and times.
func TestSnapshotsKeepTheTreeExactly(t *testing.T) {
	hostAsBefore(t)
	web := create(t, "busybox", "--network", "none")
	shared, full := web+"-1", web+"-2"
	t.Cleanup(func() { destroy(t, shared); destroy(t, full) })
	first := inspect(t, web).IDs.First
	top := filepath.Join(world.root, "vps", web, "fs", "upper")
	manyKinds(t, filepath.Join(top, "tree"), first)
	must(t, "snapshot", "create", web, "s")
	mnt := t.TempDir()
	t.Cleanup(func() { _ = unix.Unmount(mnt, unix.MNT_DETACH) })
	treeOf := func(name, snapshot string) string {
		t.Helper()
		must(t, "snapshot", "mount", name, snapshot, mnt)
		defer must(t, "snapshot", "umount", name, snapshot)
		return roottest.Exact(t, filepath.Join(mnt, "tree"), nil)
	}
	want := treeOf(web, "s")
	must(t, "clone", web, shared)
	must(t, "clone", "--full", web+"@s", full)
	for _, name := range []string{shared, full} {
		if err := os.WriteFile(filepath.Join(world.root, "vps", name, "fs", "upper", "other"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		must(t, "snapshot", "create", name, "s")
		roottest.SameLines(t, name, treeOf(name, "s"), want)
	}
	must(t, "start", "--wait", web)
	must(t, "snapshot", "create", web, "live") // copied
	sh(t, web, "rm -r /tree; mkdir /tree")
	must(t, "snapshot", "restore", "--restart", web, "live")
	must(t, "snapshot", "create", web, "again")
	roottest.SameLines(t, "after a restore", treeOf(web, "again"), want)
	must(t, "stop", web)
	must(t, "snapshot", "delete", web, "s", "live") // layers become one
	roottest.SameLines(t, "after a merge", treeOf(web, "again"), want)
}

// A chain of snapshot, clone, export, import, push and create --from keeps a tree exactly,
// also with plain storage and with a disk limit. A socket is left out, which is said.
func TestBackupsKeepTheTreeExactly(t *testing.T) {
	hostAsBefore(t)
	layersLeft(t)
	r := startRegistry(t)
	mnt := t.TempDir()
	t.Cleanup(func() { _ = unix.Unmount(mnt, unix.MNT_DETACH) })
	treeOf := func(name string) (text string) {
		t.Helper()
		must(t, "snapshot", "create", name, "s")
		must(t, "snapshot", "mount", name, "s", mnt)
		defer must(t, "snapshot", "umount", name, "s")
		for line := range strings.Lines(roottest.Exact(t, filepath.Join(mnt, "tree"), nil)) {
			if !strings.HasPrefix(line, `"socket"`) {
				text += line
			}
		}
		var large unix.Stat_t
		if err := unix.Stat(filepath.Join(mnt, "large"), &large); err != nil || large.Size != 300<<20 || large.Blocks > 2048 {
			t.Errorf("%s: the sparse file has %d bytes in %d blocks, %v", name, large.Size, large.Blocks, err)
		}
		return text
	}
	for _, c := range []struct {
		name    string
		options []string
	}{{"overlay", nil}, {"plain", []string{"--storage", "plain"}}, {"disk", []string{"--disk", "64M"}}} {
		t.Run(c.name, func(t *testing.T) {
			web := create(t, "busybox", append(c.options, "--network", "none", "--label", "a=b")...)
			two, three, four := restoredAs(t, web+"-2"), restoredAs(t, web+"-3"), restoredAs(t, web+"-4")
			is := inspect(t, web)
			if plain := c.name == "plain"; plain { // the mount has no user 0 of the host
				writeMany(t, filepath.Join(world.root, "vps", web, "fs", "tree"), 0)
			} else {
				writeMany(t, must(t, "mount", web), is.IDs.First)
				must(t, "umount", web)
			}
			want := treeOf(web)
			archive, ref := filepath.Join(t.TempDir(), "web.tar"), r.host+"/backups/"+c.name+":1"
			must(t, "clone", web+"@s", two)
			if got := try("export", two, archive); got.status != 0 || !strings.Contains(got.errOut, "not in the backup: 1 socket") {
				t.Errorf("export: %s", got)
			}
			must(t, "import", archive, three)
			r.must(world.root, "push", three, ref)
			r.must(world.root, "create", "--from", ref, "--label", "c=d", four)
			roottest.SameLines(t, c.name, treeOf(four), want)
			now := inspect(t, four)
			if now.Storage != is.Storage || now.Disk.Kind != is.Disk.Kind || now.Disk.Bytes != is.Disk.Bytes || now.Labels["a"] != "b" || now.Labels["c"] != "d" {
				t.Errorf("it is %+v", now)
			}
			must(t, "start", "--wait", four)
			live := filepath.Join(t.TempDir(), "live.tar")
			must(t, "export", four, live)
			must(t, "destroy", "--force", four)
			must(t, "import", live)
			roottest.SameLines(t, "live "+c.name, treeOf(four), want)
		})
	}
}

// writeMany is manyKinds with a large sparse file.
func writeMany(t *testing.T, root string, first uint32) {
	t.Helper()
	manyKinds(t, filepath.Join(root, "tree"), first)
	large := filepath.Join(root, "large")
	for _, err := range []error{os.WriteFile(large, []byte("x"), 0o600), os.Truncate(large, 300<<20), os.Chown(large, int(first), int(first))} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// manyKinds creates a tree in which root has the id first.
func manyKinds(t *testing.T, dir string, first uint32) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	id := func(n uint32) string {
		n += first
		return string([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
	}
	must(os.MkdirAll(in("d/empty"), 0o755))
	must(os.WriteFile(in("d/file"), []byte("text"), 0o640))
	must(os.Link(in("d/file"), in("linked")))
	must(os.WriteFile(in("capable"), []byte("program"), 0o755))
	must(os.WriteFile(in("setuid"), []byte("program"), 0o755))
	must(os.Symlink("/etc/passwd", in("d/link")))
	must(unix.Mkfifo(in("fifo"), 0o600))
	must(unix.Mknod(in("socket"), unix.S_IFSOCK|0o600, 0))
	must(os.WriteFile(in(" new\nline \xff"), nil, 0o600))
	must(os.WriteFile(in("sparse"), []byte("head"), 0o644))
	must(os.Truncate(in("sparse"), 9<<20))
	must(filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, int(first), int(first))
		}
		return err
	}))
	must(os.Lchown(in("setuid"), int(first+7), int(first+8)))
	must(os.Chmod(in("setuid"), 0o755|os.ModeSetuid))
	must(unix.Setxattr(in("d/file"), "user.note", make([]byte, 2000), 0))
	acl := "\x02\x00\x00\x00" + "\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00" + id(12) + "\x04\x00\x04\x00\xff\xff\xff\xff" +
		"\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"
	must(unix.Setxattr(in("d/file"), "system.posix_acl_access", []byte(acl), 0))
	must(unix.Setxattr(in("d"), "system.posix_acl_default", []byte(acl), 0))
	// Revision 3, the permitted CAP_NET_RAW, of the user namespace of the VPS.
	must(unix.Setxattr(in("capable"), "security.capability", []byte("\x00\x00\x00\x03\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"+id(0)), 0))
	old := []unix.Timespec{{Sec: 5, Nsec: 7}, {Sec: 1234567890, Nsec: 123456789}}
	for _, name := range []string{"d/link", "d/file", "sparse", "d", ""} {
		must(unix.UtimesNanoAt(unix.AT_FDCWD, in(name), old, unix.AT_SYMLINK_NOFOLLOW))
	}
}
