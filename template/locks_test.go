package template

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"croft/internal/flock"
	"croft/template/roottest"
)

// TestMain fails if any test took locks against their order.
func TestMain(m *testing.M) {
	var wrong atomic.Int32
	flock.Watch(func(line string) {
		fmt.Fprintln(os.Stderr, line)
		wrong.Add(1)
	})
	status := m.Run()
	if wrong.Load() > 0 && status == 0 {
		fmt.Fprintf(os.Stderr, "%d locks were taken against the order in flock.Order\n", wrong.Load())
		status = 1
	}
	os.Exit(status)
}

// Remove and Prune ask who uses an image while they hold the lock of the store. The
// answer needs the lock of the id pool.
func TestUsersAreAskedInTheOrderOfLocks(t *testing.T) {
	s := newStore(t, Options{})
	mustImport(t, s, "a", roottest.Rootfs(t), ImportOptions{})
	used := func() (map[string][]string, error) {
		f, err := flock.Open(filepath.Join(s.Dir(), "pool"), flock.IDs)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return nil, f.Wait(t.Context())
	}
	if err := s.Prune(t.Context(), used); err != nil {
		t.Error(err)
	}
	if err := s.Remove(t.Context(), "a", used); err != nil {
		t.Error(err)
	}
}
