package inside

import (
	"context"
	"errors"
	"os"
	"testing"
)

// A guest whose files never answer is not waited for.
func TestInRootGivesUp(t *testing.T) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	start, err := startTime(string(stat))
	if err != nil {
		t.Fatal(err)
	}
	me := Identity{os.Getpid(), start}
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	if err := InRoot(context.Background(), me, func(*Root) error { <-never; return nil }); err == nil {
		t.Error("it has answered")
	}
	me.StartTime++
	if err := InRoot(context.Background(), me, func(*Root) error { return nil }); !errors.Is(err, ErrGone) {
		t.Errorf("another process of that number: %v", err)
	}
}
