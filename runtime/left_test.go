package runtime

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/runtime/observe"
)

// A command waits for the end of a monitor, and no longer than it should.
func TestAwaitEnd(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	p, err := observe.ProcessOf(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := (spawner{}).AwaitEnd(background, p, time.Millisecond); !fail.Is(err, fail.Timeout) {
		t.Errorf("one that does not end: %v", err)
	}
	ctx, cancel := context.WithCancel(background)
	cancel()
	if err := (spawner{}).AwaitEnd(ctx, p, time.Hour); err != context.Canceled {
		t.Errorf("a command that is cancelled: %v", err)
	}
	for what, other := range map[string]state.Process{"none": {}, "another process of that number": {PID: p.PID, StartTime: p.StartTime + 1}} {
		if err := (spawner{}).AwaitEnd(background, other, time.Hour); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	in.Close()
	if err := (spawner{}).AwaitEnd(background, p, time.Hour); err != nil {
		t.Errorf("one that ends: %v", err)
	}
}
