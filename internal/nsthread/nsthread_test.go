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

// What f changes of its thread is not seen outside.
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
