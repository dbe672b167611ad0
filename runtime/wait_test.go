package runtime

import (
	"context"
	"os"
	"testing"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/runtime/paths"
)

// The boot that a VPS is in when a wait begins is not the reboot that is waited
// for; the next one is, once it is over.
func TestReachedReboot(t *testing.T) {
	m, _ := newFake(t, t.TempDir())
	ctx := context.Background()
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(ctx, "web", StartOptions{}); err != nil {
		t.Fatal(err)
	}
	reached := func(s Status, boot int) bool {
		t.Helper()
		done, err := m.reached(ctx, "web", UntilReboot, s, state.Run{State: state.Running, Boot: boot}, 3)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	if reached(StatusRunning, 4) {
		t.Error("the next boot counts before it is over")
	}
	if err := os.WriteFile(paths.Booted(m.store, "web"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if reached(StatusRunning, 3) {
		t.Error("the present boot counts")
	}
	if reached(StatusStopped, 4) {
		t.Error("a stopped VPS has booted")
	}
	if !reached(StatusRunning, 4) {
		t.Error("the next boot does not count")
	}
}

// A wait that cannot end is refused, and a VPS that never ran has no end.
func TestWaitRefuses(t *testing.T) {
	m, _ := newFake(t, t.TempDir())
	ctx := context.Background()
	if _, err := m.Create(ctx, "alone", CreateOptions{Template: "t", Networks: []string{NoNetwork}}); err != nil {
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
