//go:build integration

package integration

import (
	"os"
	"path/filepath"
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
