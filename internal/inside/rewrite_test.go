package inside

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// guestTree is a root directory of a guest whose ids begin at first.
func guestTree(t *testing.T, first uint32) (r *Root, root, outside string) {
	t.Helper()
	needRoot(t)
	r, root, outside = trap(t)
	if err := os.MkdirAll(root+"/home/bob", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, id := range map[string]uint32{"": 0, "/etc": 0, "/home": 0, "/sbin": 0, "/home/bob": 1000} {
		if err := os.Chown(root+name, int(first+id), int(first+id)); err != nil {
			t.Fatal(err)
		}
	}
	return r, root, outside
}

const firstID = 1900544

func guestOwner(uid, gid uint32) Owner { return Owner{firstID + uid, firstID + gid} }

func wantFile(t *testing.T, name, text string, mode os.FileMode, o Owner) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil || string(got) != text {
		t.Errorf("%s: %q, %v", name, got, err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil || (Owner{st.Uid, st.Gid}) != o || os.FileMode(st.Mode).Perm() != mode {
		t.Errorf("%s: %d:%d %o, %v", name, st.Uid, st.Gid, st.Mode, err)
	}
}

// A file keeps its mode and its group, a new one gets them, and both can be undone.
func TestRewrite(t *testing.T) {
	r, root, _ := guestTree(t, firstID)
	write(t, root+"/etc/shadow", "old\n")
	shadow := guestOwner(0, 42)
	if err := errors.Join(os.Chown(root+"/etc/shadow", int(shadow.UID), int(shadow.GID)), os.Chmod(root+"/etc/shadow", 0o640)); err != nil {
		t.Fatal(err)
	}
	was, err := r.Rewrite("/etc/shadow", 0o600, []byte("new\n"), guestOwner(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, root+"/etc/shadow", "new\n", 0o640, shadow)
	made, err := r.Rewrite("/etc/gshadow", 0o600, []byte("x\n"), guestOwner(0, 0))
	if err != nil || !made.Missing {
		t.Fatalf("%+v, %v", made, err)
	}
	wantFile(t, root+"/etc/gshadow", "x\n", 0o600, guestOwner(0, 0))
	if err := errors.Join(r.Restore(was, guestOwner(0, 0)), r.Restore(made, guestOwner(0, 0))); err != nil {
		t.Fatal(err)
	}
	wantFile(t, root+"/etc/shadow", "old\n", 0o640, shadow)
	if _, err := os.Lstat(root + "/etc/gshadow"); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

// What leads astray is refused, and nothing outside changes: links to files of the
// host, directories of other users, and files that are none.
func TestRewriteRefuses(t *testing.T) {
	r, root, outside := guestTree(t, firstID)
	link(t, outside+"/secret", root+"/etc/shadow")
	link(t, "/etc", root+"/home/bob/.ssh")
	link(t, outside, root+"/home/away")
	write(t, root+"/etc/passwd", "the host's root owns it\n")
	if err := unix.Mkfifo(root+"/etc/group", 0o600); err != nil {
		t.Fatal(err)
	}
	bob, guestRoot := guestOwner(1000, 1000), guestOwner(0, 0)
	for _, c := range []struct {
		name string
		by   Owner
		want string
	}{
		{"/etc/shadow", guestRoot, "/etc/shadow is a link"},
		{"/etc/group", guestRoot, "is not a regular file"},
		{"/etc/passwd", guestRoot, "belongs to another user"},
		{"/home/bob/.ssh/authorized_keys", bob, "permission denied"},
		{"/home/away/x", guestRoot, "no such file"},
	} {
		if _, err := r.Rewrite(c.name, 0o600, []byte("ours"), c.by); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, not %q", c.name, err, c.want)
		}
	}
	if got, err := os.ReadFile(outside + "/secret"); err != nil || string(got) != "the host's" {
		t.Errorf("the host's file is %q, %v", got, err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside there is %v, %v", entries, err)
	}
}

func TestRelink(t *testing.T) {
	r, root, _ := guestTree(t, firstID)
	var all []Former
	for _, target := range []string{"../usr/share/zoneinfo/UTC", "../usr/share/zoneinfo/Europe/Berlin"} {
		was, err := r.Relink("/etc/localtime", target, guestOwner(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, was)
		if got, err := os.Readlink(root + "/etc/localtime"); err != nil || got != target {
			t.Errorf("it is %q, %v", got, err)
		}
	}
	if err := r.Restore(all[1], guestOwner(0, 0)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.Readlink(root + "/etc/localtime"); err != nil || got != "../usr/share/zoneinfo/UTC" {
		t.Errorf("restored: %q, %v", got, err)
	}
	if err := r.Restore(all[0], guestOwner(0, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(root + "/etc/localtime"); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestMakeOwned(t *testing.T) {
	r, root, outside := guestTree(t, firstID)
	bob, guestRoot := guestOwner(1000, 1000), guestOwner(0, 0)
	for n, want := range []bool{true, false} {
		made, err := r.MakeOwned("/home/ann", 0o750, guestRoot, guestOwner(1001, 100))
		if err != nil || made != want {
			t.Errorf("call %d: %t, %v", n, made, err)
		}
	}
	var st unix.Stat_t
	if err := unix.Lstat(root+"/home/ann", &st); err != nil || (Owner{st.Uid, st.Gid}) != guestOwner(1001, 100) || st.Mode&0o7777 != 0o750 {
		t.Errorf("%d:%d %o, %v", st.Uid, st.Gid, st.Mode, err)
	}
	if made, err := r.MakeOwned("/home/bob/.ssh", 0o700, bob, bob); err != nil || !made {
		t.Errorf("in his own directory: %t, %v", made, err)
	}
	if _, err := r.MakeOwned("/etc/x", 0o700, bob, bob); !errors.Is(err, os.ErrPermission) {
		t.Errorf("in another's directory: %v", err)
	}
	link(t, outside, root+"/home/carl")
	if made, err := r.MakeOwned("/home/carl", 0o700, guestRoot, bob); err == nil || made {
		t.Errorf("over a link that leads out: %t, %v", made, err)
	}
	if err := r.RemoveEmpty("/home/ann", guestRoot); err != nil {
		t.Error(err)
	}
}

// Programs of the guest and croft wait for each other.
func TestLockAccounts(t *testing.T) {
	r, root, outside := guestTree(t, firstID)
	unlock, err := r.LockAccounts(context.Background(), firstID)
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, root+"/etc/.pwd.lock", "", 0o600, guestOwner(0, 0))
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.LockAccounts(short, firstID); !errors.Is(err, ErrLocked) {
		t.Errorf("it is locked: %v", err)
	}
	unlock()
	if unlock, err = r.LockAccounts(context.Background(), firstID); err != nil {
		t.Fatal(err)
	}
	unlock()
	if err := os.Remove(root + "/etc/.pwd.lock"); err != nil {
		t.Fatal(err)
	}
	link(t, outside+"/secret", root+"/etc/.pwd.lock")
	if _, err := r.LockAccounts(context.Background(), firstID); err == nil {
		t.Error("it has followed a link")
	}
}
