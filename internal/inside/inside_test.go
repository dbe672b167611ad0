package inside

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/nsthread"
	"croft/internal/proc"
)

// trap is a root directory whose owner tries to lead croft out of it.
func trap(t *testing.T) (r *Root, root, outside string) {
	t.Helper()
	dir := t.TempDir()
	root, outside = filepath.Join(dir, "root"), filepath.Join(dir, "outside")
	for _, d := range []string{root + "/etc", root + "/sbin", outside} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, outside+"/secret", "the host's")
	r, err := OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, root, outside
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

func owner() uint32 { return uint32(os.Getuid()) }

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it changes ids and mounts")
	}
}

func TestReplaceStaysInside(t *testing.T) {
	r, root, outside := trap(t)
	link(t, outside+"/secret", root+"/etc/hostname") // the file itself leads out
	link(t, "../../outside", root+"/etc/network")    // its directory does
	link(t, "/sbin", root+"/etc/absolute")           // an absolute link is one inside
	if err := os.Mkdir(root+"/outside", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"/etc/hostname":       "/etc/hostname",
		"/etc/network/secret": "/outside/secret", // ".." ends at the root
		"/etc/absolute/x":     "/sbin/x",
		"/made/for/it/deep":   "/made/for/it/deep",
	} {
		if err := r.Replace(name, 0o640, []byte("ours\n"), owner()); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := os.ReadFile(root + want)
		if err != nil || string(got) != "ours\n" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if info, err := os.Lstat(root + want); err != nil || info.Mode() != 0o640 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	for range 2 { // an absent one is a no-op
		if err := r.Remove("/etc/network/secret", owner()); err != nil {
			t.Error(err)
		}
	}
	if got, err := os.ReadFile(outside + "/secret"); err != nil || string(got) != "the host's" {
		t.Errorf("the host's file is %q, %v", got, err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside holds %v, %v", entries, err)
	}
}

// A file in the way is an error that names its kind, and the file stays.
func TestReplaceRefuses(t *testing.T) {
	r, root, _ := trap(t)
	link(t, "/nowhere", root+"/dangling")
	link(t, "loop", root+"/loop")
	link(t, "/proc/self/root/etc", root+"/magic")
	write(t, root+"/file", "")
	if err := unix.Mkfifo(root+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(root+"/etc/directory/x", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"/dangling/x":    "a link that leads nowhere",
		"/loop/x":        "a loop of links",
		"/file/x":        "not a directory",
		"/fifo/x":        "not a directory",
		"/magic/x":       "leads nowhere",
		"/etc/directory": "", // in the kernel's words
	} {
		err := r.Replace(name, 0o644, []byte("ours"), owner())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, not %q", name, err, want)
		}
	}
	if entries, err := os.ReadDir(root + "/etc"); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// Nothing but the guest's own root filesystem is changed: a mount of the
// host's that is inside keeps its content and its owners.
func TestReplaceLeavesMounts(t *testing.T) {
	needRoot(t)
	_, root, outside := trap(t)
	write(t, root+"/etc/hosts", "")
	write(t, outside+"/hosts", "the host's")
	err := nsthread.Call(func() error {
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return err
		}
		for _, mount := range [][3]string{{"", "/", ""}, {outside, root + "/etc", ""}} {
			flags := uintptr(unix.MS_BIND)
			if mount[0] == "" {
				flags = unix.MS_REC | unix.MS_PRIVATE
			}
			if err := unix.Mount(mount[0], mount[1], "", flags, ""); err != nil {
				return err
			}
		}
		r, err := OpenRoot(root)
		if err != nil {
			return err
		}
		defer r.Close()
		// Replace works on another thread, in another namespace: the descriptor alone counts.
		for _, err := range []error{r.Replace("/etc/hosts", 0o644, nil, 0), r.Replace("/etc/new/x", 0o644, nil, 0), r.Remove("/etc/hosts", 0)} {
			if err == nil || !strings.Contains(err.Error(), "on a mount") {
				t.Errorf("%v", err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(outside + "/hosts"); err != nil || string(got) != "the host's" {
		t.Errorf("%q, %v", got, err)
	}
}

// With the guest's ids croft may do no more than the guest's root: what belongs
// to the host's root is not written, whatever the name.
func TestReplaceHasGuestsIDs(t *testing.T) {
	needRoot(t)
	const guest = 1900544
	r, root, _ := trap(t)
	if err := os.Chown(root+"/sbin", guest, guest); err != nil {
		t.Fatal(err)
	}
	if err := r.Replace("/sbin/made/x", 0o600, []byte("x"), guest); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/sbin/made", "/sbin/made/x"} {
		var st unix.Stat_t
		if err := unix.Lstat(root+name, &st); err != nil || st.Uid != guest || st.Gid != guest {
			t.Errorf("%s belongs to %d:%d, %v", name, st.Uid, st.Gid, err)
		}
	}
	if err := r.Replace("/etc/hosts", 0o644, []byte("x"), guest); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("in the host's directory: %v", err)
	}
	if err := r.Replace("/etc/hosts", 0o644, []byte("x"), 0); err != nil {
		t.Errorf("the host's root has lost its own powers: %v", err)
	}
}

// The directories on the way come and go, change to links that lead out, and
// back, while files are written: nothing outside ever changes.
func TestReplaceAgainstRenames(t *testing.T) {
	r, root, outside := trap(t)
	if err := os.Mkdir(outside+"/deep", 0o755); err != nil {
		t.Fatal(err)
	}
	link(t, outside, root+"/evil")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = unix.Renameat2(unix.AT_FDCWD, root+"/evil", unix.AT_FDCWD, root+"/etc", unix.RENAME_EXCHANGE)
			_ = os.Remove(root + "/etc/deep/secret")
			_ = os.Remove(root + "/etc/deep")
		}
	}()
	written := 0
	for range 2000 {
		if r.Replace("/etc/deep/secret", 0o644, []byte("ours"), owner()) == nil {
			written++
		}
		_ = r.Remove("/etc/secret", owner())
	}
	close(stop)
	<-done
	t.Logf("written %d times of 2000", written)
	if got, err := os.ReadFile(outside + "/secret"); err != nil || string(got) != "the host's" {
		t.Errorf("the host's file: %q, %v", got, err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 2 {
		t.Errorf("outside holds %v, %v", entries, err)
	}
}

func TestRead(t *testing.T) {
	r, root, outside := trap(t)
	link(t, outside+"/secret", root+"/etc/inittab")
	link(t, "loop", root+"/etc/loop")
	link(t, "/proc/self/exe", root+"/etc/magic")
	link(t, "../sbin/../etc/passwd", root+"/sbin/link")
	write(t, root+"/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
	if err := os.Mkdir(root+"/etc/group", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(root+"/etc/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, root+"/huge", "")
	if err := os.Truncate(root+"/huge", 1<<40); err != nil {
		t.Fatal(err)
	}
	const text = "root:x:0:0::/root:/bin/sh\n"
	for name, want := range map[string]string{"/etc/passwd": text, "/sbin/link": text, "/../../etc/passwd": text,
		"/etc/inittab": "", "/etc/group": "", "/absent": "", "/etc/passwd/x": "", "/etc/loop": "", "/etc/fifo": "", "/etc/magic": "", "/huge": ""} {
		if got, err := r.Read(name, 1<<20); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestFS(t *testing.T) {
	r, root, outside := trap(t)
	link(t, outside+"/secret", root+"/etc/link")
	fsys := r.FS()
	if _, err := fs.ReadFile(fsys, "etc/link"); err == nil {
		t.Error("a link led out")
	}
	if to, err := fs.ReadLink(fsys, "etc/link"); err != nil || to != outside+"/secret" {
		t.Errorf("ReadLink: %q, %v", to, err)
	}
	if info, err := fs.Lstat(fsys, "etc/link"); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("Lstat: %v, %v", info, err)
	}
	if _, err := fsys.Open("../outside/secret"); err == nil {
		t.Error("a path led out")
	}
	if entries, err := fs.ReadDir(fsys, "."); err != nil || len(entries) != 2 {
		t.Errorf("ReadDir: %v, %v", entries, err)
	}
}

func TestMakeMountPoints(t *testing.T) {
	r, root, outside := trap(t)
	link(t, outside, root+"/proc")
	link(t, "etc", root+"/dev") // a directory inside
	write(t, root+"/run", "data")
	write(t, root+"/run.moved-0", "older")
	points := []string{"proc", "sys", "dev", "run"}
	moved, err := r.MakeMountPoints(owner(), points...)
	if err != nil || !slices.Equal(moved, [][2]string{
		{"/proc", "/proc.moved-0"}, {"/dev", "/dev.moved-0"}, {"/run", "/run.moved-1"}}) {
		t.Errorf("%v, %v", moved, err)
	}
	for _, name := range []string{"/proc", "/sys", "/dev", "/run"} {
		if info, err := os.Lstat(root + name); err != nil || !info.IsDir() {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, want := range map[string]string{"/run.moved-0": "older", "/run.moved-1": "data"} {
		if got, err := os.ReadFile(root + name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if moved, err := r.MakeMountPoints(owner(), points...); err != nil || moved != nil {
		t.Errorf("again: %v, %v", moved, err)
	}
}

// sleeper is a process that ends when the test ends it.
func sleeper(t *testing.T) (cmd *exec.Cmd, start uint64) {
	t.Helper()
	cmd = exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	if start, err = startTime(string(stat)); err != nil {
		t.Fatal(err)
	}
	return cmd, start
}

func TestProcess(t *testing.T) {
	cmd, start := sleeper(t)
	pid := cmd.Process.Pid
	if _, err := OpenProcess(pid, start+1); !errors.Is(err, ErrGone) {
		t.Errorf("one that started at another time: %v", err)
	}
	if _, err := OpenProcess(0, start); !errors.Is(err, ErrGone) {
		t.Errorf("none: %v", err)
	}
	p, err := OpenProcess(pid, start)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if !p.Alive() || p.PID() != pid {
		t.Errorf("alive %t, pid %d", p.Alive(), p.PID())
	}
	root, err := p.Root()
	if err != nil || !root.IsDir("/") {
		t.Fatalf("root: %v", err)
	}
	root.Close()
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Error(err)
	}
	poll := []unix.PollFd{{Fd: int32(p.FD()), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, int(time.Minute.Milliseconds())); n != 1 {
		t.Fatalf("it does not end: %v", err)
	}
	if p.Alive() {
		t.Error("a zombie is alive")
	}
	if _, err := OpenProcess(pid, start); !errors.Is(err, ErrGone) {
		t.Errorf("a zombie: %v", err)
	}
	_ = cmd.Wait()
	if err := p.Signal(unix.SIGKILL); !errors.Is(err, ErrGone) {
		t.Errorf("signal: %v", err)
	}
	if _, err := p.Root(); !errors.Is(err, ErrGone) {
		t.Errorf("root: %v", err)
	}
	if _, err := p.ReadFile("status"); !errors.Is(err, ErrGone) {
		t.Errorf("status: %v", err)
	}
}

// Cover and Uncover reach the file that they are told, and nothing by a link.
func TestCover(t *testing.T) {
	needRoot(t)
	_, root, outside := trap(t)
	cmd := exec.Command("sleep", "600")
	err := nsthread.Call(func() error { // a guest: a mount namespace, and a root directory in it
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		return cmd.Start()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	start, err := startTime(string(stat))
	if err != nil {
		t.Fatal(err)
	}
	p, err := OpenProcess(cmd.Process.Pid, start)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	write(t, root+"/etc/file", "below")
	link(t, outside+"/secret", root+"/etc/link")
	link(t, "etc", root+"/dir")
	fd, err := unix.OpenTree(unix.AT_FDCWD, outside+"/secret", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	tree := os.NewFile(uintptr(fd), "tree")
	defer tree.Close()
	for _, name := range []string{"/etc/link", "/dir/file", "/etc", "/absent"} {
		if err := p.Cover(root+name, tree, 0); err == nil {
			t.Errorf("%s was covered", name)
		}
	}
	if err := p.Cover(root+"/etc/file", tree, unix.PROC_SUPER_MAGIC); err == nil {
		t.Error("a file of another filesystem was covered")
	}
	seen := func() string {
		r, err := p.Root()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		text, err := r.Read(root+"/etc/file", 100)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if err := p.Cover(root+"/etc/file", tree, 0); err != nil || seen() != "the host's" {
		t.Fatalf("%v, and it is %q", err, seen())
	}
	kind, err := filesystemOf(tree)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Uncover(root+"/etc/file", kind+1); err != nil || seen() != "the host's" {
		t.Errorf("one of another type: %v, and it is %q", err, seen())
	}
	if err := p.Uncover(root+"/etc/file", kind); err != nil || seen() != "below" {
		t.Errorf("%v, and it is %q", err, seen())
	}
}

// OpenPipe opens a named pipe, which then has a writer, and nothing else.
func TestOpenPipe(t *testing.T) {
	_, root, _ := trap(t)
	cmd, start := sleeper(t)
	p, err := OpenProcess(cmd.Process.Pid, start)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := unix.Mkfifo(root+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	link(t, "fifo", root+"/link")
	write(t, root+"/file", "")
	for _, name := range []string{"/link", "/file", "/etc", "/absent", "/file/x"} {
		if got, err := p.OpenPipe(root + name); got != nil || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	pipe, err := p.OpenPipe(root + "/fifo")
	if err != nil || pipe == nil {
		t.Fatal(pipe, err)
	}
	defer pipe.Close()
	reader, err := unix.Open(root+"/fifo", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(reader)
	if n, err := unix.Read(reader, make([]byte, 1)); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("a reader does not wait: %d, %v", n, err)
	}
}

func startTime(stat string) (uint64, error) {
	s, err := proc.ParseStat(stat)
	return s.StartTime, err
}

func TestLastMount(t *testing.T) {
	table := "proc /proc proc rw 0 0\ncroft /proc/meminfo fuse.croft ro,nosuid 0 0\nnone /proc/meminfo tmpfs rw 0 0\ncroft /proc/stat fuse.croft ro 0 0\n"
	for name, want := range map[string]mountEntry{
		"/proc/stat": {"croft", "fuse.croft"}, "/proc/meminfo": {"none", "tmpfs"}, "/proc/met": {},
	} {
		if got, ok := lastMount(table, name); got != want || ok != (want != mountEntry{}) {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}
