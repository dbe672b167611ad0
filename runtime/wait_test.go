package runtime

import (
	"context"
	"testing"
	"time"

	"croft/internal/fail"
)

// A wait that cannot end is refused. A VPS that never ran has no end.
func TestWaitRefuses(t *testing.T) {
	m, _ := newFake(t, t.TempDir())
	ctx := context.Background()
	if _, err := m.Create(ctx, "alone", CreateOptions{Template: "t", Networks: onNetworks(NoNetwork)}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Wait(ctx, "alone", UntilNetwork, 0); !fail.Is(err, fail.State) {
		t.Errorf("the network of a VPS without one: %v", err)
	}
	if _, err := m.Wait(ctx, "alone", UntilReboot, time.Nanosecond); !fail.Is(err, fail.Timeout) {
		t.Errorf("a reboot that does not come: %v", err)
	}
	if end, err := m.Wait(ctx, "alone", UntilStopped, 0); end != nil || err != nil {
		t.Errorf("a VPS that never ran: %v, %v", end, err)
	}
}
