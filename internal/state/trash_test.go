package state

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/vps"
)

// trashed makes a VPS with files in it and throws it away.
func trashed(t *testing.T, s *Store) (upper string) {
	t.Helper()
	makeVPS(t, s, "web")
	upper = filepath.Join(s.FSDir("web"), "upper")
	if err := os.MkdirAll(upper, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 3000 { // more than one read of a directory shows
		write(t, filepath.Join(upper, "f"+strings.Repeat("x", i%200)+string(rune('a'+i%26))), "")
	}
	l := lock(t, s, "web")
	defer l.Unlock()
	if err := l.Trash(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.VPS(); !fail.Is(err, fail.NotFound) {
		t.Fatalf("still there: %v", err)
	}
	names, err := readNames(s.TrashDir())
	if err != nil || len(names) != 1 {
		t.Fatalf("trash: %v, %v", names, err)
	}
	return filepath.Join(s.TrashDir(), names[0], "fs", "upper")
}

func TestTrash(t *testing.T) {
	s, dir := newStore(t)
	upper := trashed(t, s)
	outside := filepath.Join(dir, "outside")
	if err := os.Mkdir(outside, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, outside+"/kept", "")
	for _, link := range []string{upper + "/link", s.TrashDir() + "/link"} {
		if err := os.Symlink(outside, link); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(upper+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, s.TrashDir()+"/stray", "")
	var wg sync.WaitGroup
	for range 4 { // at once
		wg.Go(func() {
			if err := s.EmptyTrash(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := files(t, s); got != "" {
		t.Errorf("left: %s", got)
	}
	if _, err := os.Stat(outside + "/kept"); err != nil {
		t.Errorf("followed a link: %v", err)
	}
}

func TestEmptyTrashInterrupted(t *testing.T) {
	s, _ := newStore(t)
	upper := trashed(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.EmptyTrash(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// Half way the settings are still there, for their ids.
	if err := os.RemoveAll(upper); err != nil {
		t.Fatal(err)
	}
	entry := filepath.Dir(filepath.Dir(upper))
	if err := removeTree(&countdown{Context: context.Background(), n: 1}, entry, vpsFileName); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(entry, vpsFileName)); err != nil {
		t.Errorf("settings went before the rest: %v", err)
	}
	if err := s.EmptyTrash(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := files(t, s); got != "" {
		t.Errorf("left: %s", got)
	}
}

// A countdown is a context that is done after it was asked n times.
type countdown struct {
	context.Context
	n int
}

func (c *countdown) Err() error {
	if c.n--; c.n < 0 {
		return context.Canceled
	}
	return nil
}

// inMountNamespace runs the rest of test again in a process of its own, in a
// mount namespace of its own, and reports whether this is that process.
func inMountNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv("STATE_MOUNTS") != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("mounts need root, and this is uid", os.Geteuid())
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "STATE_MOUNTS=1")
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("in a mount namespace: %v\n%s", err, out)
	}
	return false
}

func tmpfs(t *testing.T, dir, options string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("croft-test", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

func TestTrashStopsAtMounts(t *testing.T) {
	if !inMountNamespace(t) {
		return
	}
	s, dir := newStore(t)
	upper := trashed(t, s)
	tmpfs(t, upper+"/mnt", "")
	write(t, upper+"/mnt/kept", "")
	bind := upper + "/bound"
	write(t, bind, "")
	write(t, dir+"/source", "")
	if err := unix.Mount(dir+"/source", bind, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err := s.EmptyTrash(context.Background())
		wantKind(t, err, fail.State)
		mnt := strings.TrimPrefix(fail.HintOf(err), "umount ")
		if _, err := os.Stat(upper + "/mnt/kept"); mnt != bind && err != nil {
			t.Errorf("crossed a mount point: %v", err)
		}
		if err := unix.Unmount(mnt, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.EmptyTrash(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := files(t, s); got != "" {
		t.Errorf("left: %s", got)
	}
}

func TestFullDisk(t *testing.T) {
	if !inMountNamespace(t) {
		return
	}
	dir := t.TempDir()
	tmpfs(t, dir, "size=64k")
	s, err := Open(dir+"/root", dir+"/run")
	if err != nil {
		t.Fatal(err)
	}
	s.subIDFiles = nil
	makeVPS(t, s, "web")
	l := lock(t, s, "web")
	fill, err := os.Create(dir + "/fill")
	if err != nil {
		t.Fatal(err)
	}
	defer fill.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = fill.Write(block)
	}
	before, err := os.ReadFile(s.VPSFile("web"))
	if err != nil {
		t.Fatal(err)
	}
	err = l.Put(vps.VPS{Hostname: "other"})
	wantKind(t, err, fail.Host)
	if want := "write " + s.VPSFile("web") + ": no space left on device"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	after, err := os.ReadFile(s.VPSFile("web"))
	if err != nil || string(after) != string(before) {
		t.Errorf("the old file is no more: %q, %v", after, err)
	}
	if names, err := readNames(s.VPSDir("web")); err != nil || strings.Join(names, " ") != vpsFileName {
		t.Errorf("left: %v, %v", names, err)
	}
	wantKind(t, s.PutRun("web", Run{}), fail.Host)
	wantKind(t, s.UpdateNetwork(context.Background(), "default", func(NetworkTable) (NetworkChange, error) { return NetworkChange{Settings: []byte("{}")}, nil }), fail.Host)

	// A full disk neither hinders a lock, nor destroying what fills it.
	l2 := lock(t, s, "db")
	l2.Unlock()
	if err := l.Trash(); err != nil {
		t.Fatal(err)
	}
	if err := s.EmptyTrash(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestReadOnlyDisk(t *testing.T) {
	if !inMountNamespace(t) {
		return
	}
	s, dir := newStore(t)
	makeVPS(t, s, "web")
	l := lock(t, s, "web")
	tmp := filepath.Join(dir, "root")
	if err := unix.Mount(tmp, tmp, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", tmp, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(tmp, unix.MNT_DETACH)
	wantKind(t, l.Put(vps.VPS{}), fail.Host)
	wantKind(t, l.Trash(), fail.Host)
	_, err := lock(t, s, "db").Begin()
	wantKind(t, err, fail.Host)
}
