package nsthread

import (
	"errors"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// However many run at once, none is on the first thread, and no thread is used
// for two.
func TestDoHasThreadOfItsOwn(t *testing.T) {
	const many = 64
	var group sync.WaitGroup
	var mu sync.Mutex
	seen := map[int]bool{}
	all := make(chan struct{})
	for range many {
		group.Go(func() {
			Do(func() {
				mu.Lock()
				id := unix.Gettid()
				if id == os.Getpid() {
					t.Error("on the first thread")
				}
				if seen[id] {
					t.Errorf("thread %d is used twice", id)
				}
				seen[id] = true
				last := len(seen) == many
				mu.Unlock()
				if last {
					close(all)
				}
				<-all // so that all of them run at the same time
			})
		})
	}
	group.Wait()
}

// Changes that f makes to its thread are not visible outside.
func TestDoKeepsChangesAway(t *testing.T) {
	before := unix.Umask(0o022)
	unix.Umask(before)
	err := Call(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
		unix.Umask(before ^ 0o055)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	after := unix.Umask(before)
	if after != before {
		t.Errorf("umask was %04o and is %04o", before, after)
	}
}

func TestCallReturnsError(t *testing.T) {
	want := errors.New("it cannot")
	if got := Call(func() error { return want }); got != want {
		t.Errorf("%v", got)
	}
	if err := In(-1, unix.CLONE_NEWNET, func() error { t.Error("called"); return nil }); !errors.Is(err, unix.EBADF) {
		t.Errorf("%v", err)
	}
}

func TestPrivateMounts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	isMount := func() bool {
		var st unix.Statx_t
		if err := unix.Statx(unix.AT_FDCWD, dir, 0, 0, &st); err != nil {
			t.Error(err)
		}
		return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
	}
	err := PrivateMounts(func() {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			t.Error(err)
		}
		if !isMount() {
			t.Error("it is not mounted on its own thread")
		}
	})
	if err != nil {
		t.Error(err)
	}
	if isMount() {
		t.Error("it is mounted for the process")
	}
}
