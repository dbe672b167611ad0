package observe

import (
	"os"
	"testing"

	"croft/internal/fail"
	"croft/internal/state"
)

// The status follows from the life lock, the init and what the monitor wrote.
func TestStatus(t *testing.T) {
	me, err := ProcessOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	gone := state.Process{PID: me.PID, StartTime: me.StartTime + 1}
	for _, c := range []struct {
		what string
		run  state.Run
		held bool
		want Status
	}{
		{"never started", state.Run{}, false, Stopped},
		{"ended", state.Run{State: state.Ended, Monitor: gone}, false, Stopped},
		{"ended while it had no monitor", state.Run{State: state.Running, Init: gone, Monitor: gone}, false, Stopped},
		{"nothing is written yet", state.Run{}, true, Starting},
		{"its monitor prepares", state.Run{State: state.Starting, Monitor: me}, true, Starting},
		{"it runs", state.Run{State: state.Running, Init: me, Monitor: me}, true, Running},
		{"without a monitor", state.Run{State: state.Running, Init: me, Monitor: gone}, false, Orphaned},
		{"its monitor sweeps", state.Run{State: state.Running, Init: gone, Monitor: me}, true, Stopping},
	} {
		seen := observation("web", c.run, c.held)
		status, err := Observer{Frozen: func(string) (bool, error) { return false, nil }}.Status(seen)
		if err != nil || status != c.want {
			t.Errorf("%s: %s, %v, want %s", c.what, status, err, c.want)
		}
		if seen.Runs() == (c.want == Stopped) {
			t.Errorf("%s: it runs: %t", c.what, seen.Runs())
		}
		if up := seen.Init().PID != 0; up != c.want.Up() {
			t.Errorf("%s: it has an init: %t", c.what, up)
		}
		if err := seen.AlreadyRunning(); !fail.Is(err, fail.State) || fail.HintOf(err) == "" {
			t.Errorf("%s: a start says %v", c.what, err)
		}
	}
}
