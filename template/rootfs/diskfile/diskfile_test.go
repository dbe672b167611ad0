package diskfile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/nsthread"
	"croft/template/roottest"
)

// image creates an image, and skips the test where that is not possible.
func image(t *testing.T, size Size) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip("needs loop devices")
	}
	path := filepath.Join(t.TempDir(), "disk.x.img")
	roottest.Must(t, Create(context.Background(), path, size))
	t.Cleanup(func() {
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if used, err := InUse(path); err == nil && !used {
				return
			}
		}
		t.Errorf("%s still has a loop device", path)
	})
	return path
}

// mounted calls do on a thread on which the image is mounted on a directory.
func mounted(t *testing.T, path string, do func(dir string)) {
	t.Helper()
	dir := t.TempDir()
	var err error
	perr := nsthread.PrivateMounts(func() {
		if err = Mount(path, dir); err == nil {
			do(dir)
			err = unix.Unmount(dir, 0)
		}
	})
	if perr != nil || err != nil {
		t.Fatal(perr, err)
	}
}

func blocksOf(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	roottest.Must(t, unix.Stat(path, &st))
	return st.Blocks * 512
}

func TestImage(t *testing.T) {
	path := image(t, Size{Bytes: 64 << 20, Inodes: 2048})
	if n := blocksOf(t, path); n > 4<<20 {
		t.Errorf("an empty image takes %d bytes", n)
	}
	stopped, err := UsageOf(path)
	if err != nil || stopped.Inodes != 2048 || stopped.Bytes < 50<<20 || stopped.Bytes > 64<<20 {
		t.Errorf("%+v, %v", stopped, err)
	}
	mounted(t, path, func(dir string) {
		roottest.Must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o600))
		mounted(t, path, func(again string) { // the same file system
			if text, err := os.ReadFile(filepath.Join(again, "file")); string(text) != "text" {
				t.Errorf("%q, %v", text, err)
			}
		})
		at, err := UsageAt(dir)
		if err != nil || at.Bytes != stopped.Bytes || at.Inodes != stopped.Inodes {
			t.Errorf("mounted %+v, not mounted %+v, %v", at, stopped, err)
		}
		if seen, err := UsageOf(path); err != nil || seen != at {
			t.Errorf("from outside %+v, inside %+v, %v", seen, at, err)
		}
		if used, err := InUse(path); err != nil || !used {
			t.Errorf("it is mounted and not in use: %v", err)
		}
		f, err := os.Create(filepath.Join(dir, "big"))
		roottest.Must(t, err)
		for err == nil {
			_, err = f.Write(make([]byte, 1<<20))
		}
		f.Close()
		if !errors.Is(err, unix.ENOSPC) {
			t.Errorf("a full disk gives %v", err)
		}
		roottest.Must(t, os.Remove(f.Name()))
		// jbd2 frees the blocks of a deleted file after it has reported the commit (T_COMMIT_CALLBACK).
		for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			roottest.Must(t, Trim(dir))
			n := blocksOf(t, path)
			if n <= 8<<20 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("all was deleted, and the image still takes %d bytes", n)
			}
		}
	})
}

// Growing needs a capability that root does not have everywhere.
func TestGrow(t *testing.T) {
	path := image(t, Size{Bytes: 32 << 20})
	err := Grow(path, 64<<20)
	st, serr := os.Stat(path)
	roottest.Must(t, serr)
	if fail.Is(err, fail.Permission) {
		if st.Size() != 32<<20 {
			t.Errorf("a refused Grow leaves %d bytes", st.Size())
		}
		t.Skip(err)
	}
	roottest.Must(t, err)
	roottest.Must(t, Grow(path, 64<<20))
	if u, err := UsageOf(path); err != nil || u.Bytes < 50<<20 || st.Size() != 64<<20 {
		t.Errorf("%+v of %d, %v", u, st.Size(), err)
	}
}

func TestDamagedImage(t *testing.T) {
	path := image(t, Size{Bytes: 32 << 20})
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	roottest.Must(t, err)
	_, err = f.WriteAt(make([]byte, 64<<10), 0)
	roottest.Must(t, errors.Join(err, f.Close()))
	perr := nsthread.PrivateMounts(func() { err = Mount(path, t.TempDir()) })
	if perr != nil || !fail.Is(err, fail.State) || fail.HintOf(err) != "e2fsck -fn "+path {
		t.Errorf("%v, %v, hint %q", perr, err, fail.HintOf(err))
	}
	if _, err := UsageOf(path); !fail.Is(err, fail.State) {
		t.Errorf("usage: %v", err)
	}
}

func TestCreateFails(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	path := filepath.Join(t.TempDir(), "disk.x.img")
	if err := Create(context.Background(), path, Size{Bytes: 64 << 10, Inodes: 1 << 20}); !fail.Is(err, fail.Host) {
		t.Errorf("a file system without room for its tables: %v", err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the file is there: %v", err)
	}
}

func TestTry(t *testing.T) {
	path := image(t, Size{Bytes: 32 << 20})
	tried := filepath.Join(filepath.Dir(path), "tried")
	roottest.Must(t, Try(context.Background(), tried))
	if _, err := os.Lstat(tried); !os.IsNotExist(err) {
		t.Errorf("the image is there: %v", err)
	}
}

func TestUsageInSuperblock(t *testing.T) {
	block := make([]byte, superblockSize)
	if _, err := usageIn(block); err == nil {
		t.Error("zeros are a file system")
	}
	for offset, value := range map[int]byte{0x0: 100, 0x4: 50, 0xC: 30, 0x10: 40, 0x18: 2, 0x38: 0x53, 0x39: 0xEF, 0x60: 0x80, 0x150: 1, 0x158: 1, 0x248: 10} {
		block[offset] = value
	}
	want := Usage{Bytes: (1<<32 + 40) * 4096, UsedBytes: 10 * 4096, Inodes: 100, UsedInodes: 60}
	if u, err := usageIn(block); err != nil || u != want {
		t.Errorf("%+v, %v, want %+v", u, err, want)
	}
}
