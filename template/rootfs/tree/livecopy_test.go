package tree

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"croft/template/roottest"
)

// source creates an empty tree, and the name of its copy.
func source(t testing.TB) (from, to string) {
	t.Helper()
	dir := t.TempDir()
	from = filepath.Join(dir, "upper")
	if err := os.Mkdir(from, 0o755); err != nil {
		t.Fatal(err)
	}
	return from, filepath.Join(dir, "copy")
}

func startCopy(t testing.TB, from, to string) *LiveCopy {
	t.Helper()
	c, err := NewLiveCopy(from, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// passed returns a function that fails the test after an unsuccessful pass.
func passed(t testing.TB) func(Copied, error) Copied {
	return func(c Copied, err error) Copied {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

// settle waits until all changes are older than those that a pass copies again.
func settle(t testing.TB) {
	t.Helper()
	coarse := func() int64 {
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now); err != nil {
			t.Fatal(err)
		}
		return now.Nano()
	}
	const tick = 10 * time.Millisecond // at most: CONFIG_HZ is 100 or more
	for start := coarse(); coarse() <= start+(slack+tick).Nanoseconds(); {
		time.Sleep(time.Millisecond)
	}
}

func sameTrees(t testing.TB, from, to string) bool {
	t.Helper()
	return roottest.SameLines(t, "the copy", roottest.Exact(t, to, nil), roottest.Exact(t, from, nil))
}

// everything creates one file of each kind in dir.
func everything(t testing.TB, dir string) {
	t.Helper()
	in := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	acl := func(name, kind string) {
		// Version 2; the owner rwx, user 12 r--, the group r--, the mask r--, others nothing.
		value := "\x02\x00\x00\x00" + "\x01\x00\x07\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\x0c\x00\x00\x00" +
			"\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"
		must(unix.Setxattr(name, "system.posix_acl_"+kind, []byte(value), 0))
	}
	must(os.MkdirAll(in("dir/empty"), 0o755))
	must(os.Mkdir(in("with-acl"), 0o755))
	acl(in("with-acl"), "default")
	must(os.WriteFile(in("with-acl/inherits"), []byte("x"), 0o640))
	must(unix.Mkfifo(in("with-acl/fifo"), 0o640))
	must(os.WriteFile(in("with-acl/own"), []byte("x"), 0o640))
	must(unix.Removexattr(in("with-acl/own"), "system.posix_acl_access"))
	must(os.WriteFile(in("dir/file"), []byte("text"), 0o600))
	acl(in("dir/file"), "access")
	must(os.Link(in("dir/file"), in("zz-linked")))
	must(os.WriteFile(in("setuid"), []byte("program"), 0o755))
	must(os.Chown(in("setuid"), 100007, 100008))
	must(os.Chmod(in("setuid"), 0o755|os.ModeSetuid|os.ModeSetgid))
	must(os.WriteFile(in("capable"), []byte("program"), 0o755))
	// Revision 3, the permitted CAP_NET_RAW, of the user namespace of 100000.
	must(unix.Setxattr(in("capable"), "security.capability", []byte("\x00\x00\x00\x03\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xa0\x86\x01\x00"), 0))
	must(unix.Setxattr(in("setuid"), "user.large", make([]byte, 2000), 0))
	must(os.Symlink("/etc/passwd", in("dir/link")))
	must(os.Lchown(in("dir/link"), 100001, 100002))
	must(os.Link(in("dir/link"), in("dir/link2")))
	must(unix.Lsetxattr(in("dir/link"), "trusted.overlay.origin", []byte("\x00handle"), 0))
	must(unix.Mknod(in("dir/socket"), unix.S_IFSOCK|0o641, 0))
	must(unix.Mknod(in("dir/gone"), unix.S_IFCHR, 0))
	must(os.Link(in("dir/gone"), in("dir/gone2")))
	must(unix.Setxattr(in("dir"), "trusted.overlay.opaque", []byte("y"), 0))
	must(unix.Setxattr(in("dir"), "trusted.overlay.redirect", []byte("/old"), 0))
	must(os.WriteFile(in(" new\nline \xff"), nil, 0))
	must(os.WriteFile(in("sparse"), []byte("head"), 0o644))
	f, err := os.OpenFile(in("sparse"), os.O_WRONLY, 0)
	must(err)
	_, err = f.WriteAt([]byte("middle"), 5<<20)
	must(err)
	must(f.Truncate(9 << 20))
	must(f.Close())
	old := []unix.Timespec{{Sec: 5, Nsec: 7}, {Sec: 1234567890, Nsec: 123456789}}
	for _, name := range []string{"dir/file", "dir/link", "dir/gone", "dir"} {
		must(unix.UtimesNanoAt(unix.AT_FDCWD, in(name), old, unix.AT_SYMLINK_NOFOLLOW))
	}
	must(unix.Lchown(dir, 100000, 100000))
}

func TestLiveCopyIsExact(t *testing.T) {
	roottest.NeedRoot(t)
	from, to := source(t)
	everything(t, from)
	if err := unix.Mknod(filepath.Join(from, "device"), unix.S_IFBLK|0o600, 0x123); err != nil && !errors.Is(err, unix.EPERM) {
		t.Fatal(err)
	}
	c := startCopy(t, from, to)
	passed(t)(c.Pass(t.Context()))
	sameTrees(t, from, to)
	passed(t)(c.LastPass(t.Context()))
	sameTrees(t, from, to)
	if err := c.Finish(); err != nil {
		t.Error(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(to, "sparse"), &st); err != nil || st.Blocks*512 > 1<<20 {
		t.Errorf("the sparse file occupies %d bytes, %v", st.Blocks*512, err)
	}
}

func TestLaterPassesCopyChangesOnly(t *testing.T) {
	roottest.NeedRoot(t)
	from, to := source(t)
	everything(t, from)
	large := filepath.Join(from, "large")
	if err := os.WriteFile(large, make([]byte, 3*chunk), 0o600); err != nil {
		t.Fatal(err)
	}
	settle(t)
	c := startCopy(t, from, to)
	passed(t)(c.Pass(t.Context()))
	if got := passed(t)(c.Pass(t.Context())); got != (Copied{}) {
		t.Errorf("without a change: %+v", got)
	}
	f, err := os.OpenFile(large, os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt([]byte("x"), 2*chunk)
	}
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(filepath.Join(from, "setuid")), os.Chmod(filepath.Join(from, "sparse"), 0o640))
	}
	if err != nil {
		t.Fatal(err)
	}
	got := passed(t)(c.LastPass(t.Context()))
	if c.noClone.Load() && got.Bytes != chunk || got.Files != 2 || got.Removed != 1 {
		t.Errorf("%+v", got)
	}
	sameTrees(t, from, to)
}

// A process writes to a page that it has mapped. Only the first write to the page
// sets the time of the file.
func TestLiveCopySeesMappedWrites(t *testing.T) {
	roottest.NeedRoot(t)
	from, to := source(t)
	name := filepath.Join(from, "database")
	if err := os.WriteFile(name, make([]byte, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mapped, err := unix.Mmap(int(f.Fd()), 0, 1<<16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mapped)
	mapped[5000] = 1
	settle(t)
	c := startCopy(t, from, to)
	passed(t)(c.Pass(t.Context()))
	mapped[5001] = 2
	passed(t)(c.LastPass(t.Context()))
	got, err := os.ReadFile(filepath.Join(to, "database"))
	if err != nil || got[5000] != 1 || got[5001] != 2 {
		t.Errorf("the copy has %d, %d; %v", got[5000], got[5001], err)
	}
}

// A guest is a random program that changes a tree.
type guest struct {
	*rand.Rand
	root string
}

// name returns the name of a file that may exist or not.
func (g *guest) name() string {
	p := g.root
	for range g.IntN(3) {
		p = filepath.Join(p, fmt.Sprintf("d%d", g.IntN(4)))
	}
	return filepath.Join(p, fmt.Sprintf("%c%d", "dddf"[g.IntN(4)], g.IntN(4)))
}

// write writes to a regular file, which it creates if there is none.
func (g *guest) write(name string, text []byte, at int64) {
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	_, _ = unix.Pwrite(fd, text, at)
	_ = unix.Ftruncate(fd, int64(g.IntN(4*chunk)))
}

// step makes one change. Many of them fail, for example because a directory is
// missing.
func (g *guest) step() {
	name := g.name()
	switch g.IntN(17) {
	case 0, 1, 2:
		_ = os.Mkdir(name, 0o700|os.FileMode(g.IntN(64)))
	case 3, 4, 5:
		g.write(name, make([]byte, g.IntN(3*chunk)), 0)
	case 6:
		g.write(name, []byte("changed"), int64(g.IntN(2*chunk)))
	case 7:
		_ = os.Remove(name)
	case 8:
		if _, err := os.Lstat(name); err == nil { // not below a FIFO
			_ = os.RemoveAll(name)
		}
	case 9, 10:
		_ = os.Rename(name, g.name())
	case 11:
		_ = os.Link(name, g.name())
	case 12:
		_ = os.Symlink("nowhere", name)
	case 13:
		_ = unix.Mknod(name, []uint32{unix.S_IFCHR, unix.S_IFIFO | 0o600, unix.S_IFSOCK | 0o600}[g.IntN(3)], 0)
	case 14:
		_ = os.Lchown(name, g.IntN(70000), g.IntN(70000))
		if in, err := os.Lstat(name); err == nil && in.Mode()&os.ModeSymlink == 0 {
			_ = os.Chmod(name, os.FileMode(g.IntN(0o1000)))
		}
	case 15:
		_ = unix.Lsetxattr(name, []string{"trusted.overlay.opaque", "user.note", "trusted.overlay.origin"}[g.IntN(3)], []byte{byte(g.IntN(3))}, 0)
		_ = unix.Lremovexattr(name, []string{"trusted.overlay.opaque", "user.note"}[g.IntN(2)])
	case 16:
		_ = unix.Renameat2(unix.AT_FDCWD, name, unix.AT_FDCWD, g.name(), unix.RENAME_EXCHANGE)
	}
}

func TestLiveCopyOfRandomChanges(t *testing.T) {
	roottest.NeedRoot(t)
	for seed := range uint64(6) {
		from, to := source(t)
		g := &guest{rand.New(rand.NewPCG(seed, 1)), from}
		c := startCopy(t, from, to)
		for range 6 {
			for range 150 {
				g.step()
			}
			if g.IntN(2) == 0 {
				settle(t)
			}
			passed(t)(c.Pass(t.Context()))
			if !sameTrees(t, from, to) {
				t.Fatalf("seed %d", seed)
			}
		}
	}
}

// Processes change the tree during all passes but the last one.
func TestLiveCopyWhileTheTreeChanges(t *testing.T) {
	roottest.NeedRoot(t)
	from, to := source(t)
	c := startCopy(t, from, to)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for g := (&guest{rand.New(rand.NewPCG(7, 7)), from}); ; g.step() {
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	var err error
	for range 30 {
		if _, err = c.Pass(t.Context()); err != nil {
			break
		}
	}
	close(stop)
	<-stopped
	if err != nil {
		t.Fatal(err)
	}
	passed(t)(c.LastPass(t.Context()))
	sameTrees(t, from, to)
}

// nested creates directories in each other, and a file in the last one.
func nested(t testing.TB, dir string, depth int, name string) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for range depth {
		if err == nil {
			err = unix.Mkdirat(fd, name, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
		var sub int
		sub, err = unix.Openat(fd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		unix.Close(fd)
		fd = sub
	}
	defer unix.Close(fd)
	if err := unix.Mknodat(fd, "last", unix.S_IFREG|0o600, 0); err != nil {
		t.Fatal(err)
	}
}

// atDepth reports whether the file that nested has created is there.
func atDepth(t testing.TB, dir string, depth int, name string) bool {
	t.Helper()
	root, err := openRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	p := &place{}
	for range depth {
		if p, err = p.below(name); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := p.open(int(root.Fd()))
	if err != nil {
		t.Error(err)
		return false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	return unix.Fstatat(fd, "last", &st, 0) == nil
}

func TestLiveCopyOfDeepTrees(t *testing.T) {
	roottest.NeedRoot(t)
	from, to := source(t)
	long := strings.Repeat("x", 250)
	nested(t, from, 1500, "deep")
	nested(t, from, 200, long)
	c := startCopy(t, from, to)
	passed(t)(c.LastPass(t.Context()))
	if !atDepth(t, to, 1500, "deep") || !atDepth(t, to, 200, long) {
		t.Error("the last files are missing")
	}
}

func TestLiveCopyEndsWithItsContext(t *testing.T) {
	from, to := source(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := os.WriteFile(filepath.Join(from, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := startCopy(t, from, to)
	if _, err := c.Pass(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := NewLiveCopy(from, from); !errors.Is(err, unix.ENOTEMPTY) {
		t.Errorf("a copy to a directory with files: %v", err)
	}
}

// BenchmarkPause measures the last pass over 50,000 files of which 1 % changed.
func BenchmarkPause(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root")
	}
	from, to := source(b)
	file := func(i int) string { return filepath.Join(from, fmt.Sprintf("d%d/f%d", i/25, i%25)) }
	for i := range 50000 {
		if i%25 == 0 {
			if err := os.Mkdir(filepath.Dir(file(i)), 0o755); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.WriteFile(file(i), make([]byte, 4000), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	settle(b)
	c := startCopy(b, from, to)
	passed(b)(c.Pass(b.Context()))
	for round := 0; b.Loop(); round++ {
		b.StopTimer()
		for i := 0; i < 50000; i += 100 {
			if err := os.WriteFile(file(i), make([]byte, 4001+round), 0o644); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		if got := passed(b)(c.LastPass(b.Context())); got.Files < 500 {
			b.Errorf("%+v", got)
		}
	}
}
