package restarts

import (
	"testing"
	"time"

	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/endreason"
)

// Which ends are failures.
func TestWants(t *testing.T) {
	for what, c := range map[string]struct {
		end             state.End
		onFailure, ever bool
	}{
		"power-off inside":     {state.End{Reason: endreason.Halted}, false, true},
		"exit status 0":        {state.End{Reason: endreason.Exited}, false, true},
		"exit status 1":        {state.End{Reason: endreason.Exited, Status: 1}, true, true},
		"killed":               {endreason.ByKill(""), true, true},
		"out of memory":        {endreason.OutOfMemory(endreason.ByKill("")), true, true},
		"crash of init":        {state.End{Reason: endreason.Killed, Status: 139}, true, true},
		"a start that failed":  {state.End{Reason: endreason.Failed, Status: 8}, true, true},
		"an end without proof": {endreason.Unseen(), true, true},
	} {
		for when, want := range map[vps.RestartWhen]bool{vps.RestartNo: false, vps.RestartOnFailure: c.onFailure, vps.RestartAlways: c.ever} {
			if got := Wants(vps.Restart{When: when}, c.end); got != want {
				t.Errorf("%s, policy %q: %v", what, when, got)
			}
		}
	}
}

// The pause is doubled up to a minute, and begins again after a run that lasted.
func TestPauses(t *testing.T) {
	crash := state.End{Reason: endreason.Killed, Status: 139}
	var r state.Restarts
	want := FirstPause
	for n := 1; n <= 12; n++ {
		var again bool
		if r, again = Next(vps.Restart{When: vps.RestartOnFailure}, r, crash, Settled-1); !again || r.Pause() != want || r.Count != n || *r.Last != crash {
			t.Errorf("restart %d: %v %+v, and not after %s", n, again, r, want)
		}
		want = min(2*want, LongestPause)
	}
	if r, _ = Next(vps.Restart{When: vps.RestartAlways}, r, crash, Settled); r.Pause() != FirstPause || r.Count != 13 {
		t.Errorf("after a run that lasted: %+v", r)
	}
}

// on-failure:2 gives up after two restarts in a row, and not if the VPS has run for
// long in between.
func TestMost(t *testing.T) {
	crash, p := state.End{Reason: endreason.Exited, Status: 1}, vps.Restart{When: vps.RestartOnFailure, Most: 2}
	var r state.Restarts
	var all []bool
	for _, ran := range []time.Duration{0, 0, 0, Forgotten, 0, time.Minute} {
		var again bool
		r, again = Next(p, r, crash, ran)
		all = append(all, again)
	}
	for n, want := range []bool{true, true, false, true, true, false} {
		if all[n] != want {
			t.Errorf("end %d: restarted: %v", n+1, all[n])
		}
	}
	if r.Count != 4 || r.At != nil {
		t.Errorf("%+v", r)
	}
}
