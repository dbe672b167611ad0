package runtime

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"croft/internal/flock"
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
