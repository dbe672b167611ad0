package runtime

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/paths"
)

var restartsAlways = vps.SetRestart{Restart: vps.Restart{When: vps.RestartAlways}}

// Wait statuses of an init.
const (
	crashed  = uint32(syscall.SIGSEGV)
	poweroff = uint32(syscall.SIGINT)
	exited1  = uint32(1 << 8)
)

// policy returns a running VPS with a restart policy.
func policy(t *testing.T, text string) *faulty {
	t.Helper()
	f := newFaulty(t, memoryDir(t))
	r, err := vps.ParseRestart(text)
	if err := errors.Join(err, createWeb(f), startWeb(f), changeWeb(vps.SetRestart{Restart: r})(f)); err != nil {
		t.Fatal(err)
	}
	return f
}

// A VPS starts again as its policy says, which can be set while it runs. A VPS that
// stays down after it has powered off does not start at the next boot of the host.
func TestRestartPolicies(t *testing.T) {
	for _, c := range []struct {
		policy string
		status uint32
		runs   bool
		should bool
	}{
		{"no", crashed, false, true}, {"no", poweroff, false, false},
		{"on-failure", crashed, true, true}, {"on-failure", exited1, true, true}, {"on-failure", poweroff, false, false}, {"on-failure", 0, false, false},
		{"always", crashed, true, true}, {"always", poweroff, true, true}, {"always", 0, true, true},
	} {
		f := policy(t, c.policy)
		if err := (fakeMonitors{f.w, f.m}).ends(background, "web", c.status); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		should, err := f.m.store.ShouldRun("web")
		if err != nil || should != c.should {
			t.Errorf("%+v: it should run: %v, %v", c, should, err)
		}
		info, err := f.m.Inspect(background, "web")
		if err != nil || info.Status.Up() != c.runs || info.Restart.String() != c.policy {
			t.Errorf("%+v: %s, %s, %v", c, info.Status, info.Restart, err)
		}
		if r := info.Restarts; c.runs && (r.Count != 1 || r.Last == nil || r.Next != nil) || !c.runs && r.Count != 0 {
			t.Errorf("%+v: %+v", c, r)
		}
		f.end()
	}
}

// on-failure:2 gives up at the third crash in a row. A start by a command counts anew.
func TestRestartGivesUp(t *testing.T) {
	f := policy(t, "on-failure:2")
	for n := 1; n <= 3; n++ {
		if err := (fakeMonitors{f.w, f.m}).ends(background, "web", crashed); err != nil {
			t.Fatal(err)
		}
		if status, err := f.m.status("web"); err != nil || status.Up() != (n < 3) {
			t.Errorf("crash %d: it is %s: %v", n, status, err)
		}
	}
	if err := startWeb(f); err != nil {
		t.Fatal(err)
	}
	if info, err := f.m.Inspect(background, "web"); err != nil || info.Restarts.Count != 0 || !info.Status.Up() {
		t.Errorf("after a start: %+v, %v", info.Restarts, err)
	}
}

// A start that fails at a restart is repeated as the policy says, and is an end too.
func TestRestartThatFails(t *testing.T) {
	f := policy(t, "on-failure:3")
	fails := 2
	f.m.host = failing(f.m.host, &fails)
	if err := (fakeMonitors{f.w, f.m}).ends(background, "web", crashed); err != nil {
		t.Fatal(err)
	}
	info, err := f.m.Inspect(background, "web")
	if err != nil || !info.Status.Up() || info.Restarts.Count != 3 || info.Restarts.Last.Reason != "failed" {
		t.Errorf("it is %s, %+v, %v", info.Status, info.Restarts, err)
	}
	if err := errors.Join(f.m.Stop(background, "web", StopOptions{Fast: true}), startWeb(f)); err != nil {
		t.Fatal(err)
	}
	fails = 10
	if err := (fakeMonitors{f.w, f.m}).ends(background, "web", crashed); !errors.Is(err, errWorld) {
		t.Errorf("it gives up with %v", err)
	}
	if status, err := f.m.status("web"); err != nil || status != StatusStopped {
		t.Errorf("it is %s: %v", status, err)
	}
}

// failing is do that fails so often first.
func failing[T any](do func() (T, error), fails *int) func() (T, error) {
	return func() (T, error) {
		if *fails--; *fails >= 0 {
			return *new(T), errWorld
		}
		return do()
	}
}

// A command that ends or starts a VPS does not wait for the end of the pause.
func TestCommandsWhileItWaits(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*faulty) error
		runs bool
		gone bool
	}{
		{"stop", func(f *faulty) error { return f.m.Stop(background, "web", StopOptions{Timeout: time.Hour}) }, false, false},
		{"kill", func(f *faulty) error { return f.m.Kill(background, "web", syscall.SIGKILL) }, false, false},
		{"destroy --force", func(f *faulty) error { return f.m.Destroy(background, "web", DestroyOptions{Force: true}) }, false, true},
		{"start", startWeb, true, false},
		{"restart", func(f *faulty) error {
			return f.m.Restart(background, "web", StopOptions{Timeout: time.Hour}, StartOptions{})
		}, true, false},
	} {
		f := policy(t, "always")
		done := make(chan error, 1)
		begun := false
		f.m.sleep = func(time.Duration) {
			if begun {
				return
			}
			begun = true
			if status, err := f.m.status("web"); err != nil || status != StatusRestarting {
				t.Errorf("%s: it is %s: %v", c.name, status, err)
			}
			go func() { done <- c.do(f) }()
			awaitStopRequest(t, f)
		}
		if err := (fakeMonitors{f.w, f.m}).ends(background, "web", crashed); err != nil {
			t.Errorf("%s: the monitor: %v", c.name, err)
		}
		if err := <-done; err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.gone != !paths.Exists(f.m.store.VPSDir("web")) {
			t.Errorf("%s: its directory is there: %v", c.name, !c.gone)
		}
		if status, err := f.m.status("web"); err != nil || status.Up() != c.runs {
			t.Errorf("%s: it is %s: %v", c.name, status, err)
		}
		if should, err := f.m.store.ShouldRun("web"); err != nil || should != c.runs {
			t.Errorf("%s: it should run: %v, %v", c.name, should, err)
		}
		f.end()
	}
}

func awaitStopRequest(t *testing.T, f *faulty) {
	for deadline := time.Now().Add(time.Minute); !paths.Exists(paths.StopRequest(f.m.store, "web")); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("the command does not begin")
			return
		}
	}
}

// While a VPS waits, commands that need a running one are refused with the reason, and a new policy counts.
func TestPolicyWhileItWaits(t *testing.T) {
	f := policy(t, "always")
	begun := false
	f.m.sleep = func(time.Duration) {
		if begun {
			return
		}
		begun = true
		_, err := f.m.Exec(background, "web", ExecOptions{Args: []string{"true"}})
		if !fail.Is(err, fail.State) || fail.HintOf(err) != "croft wait --for running web" {
			t.Errorf("exec: %v", err)
		}
		if err := f.m.Kill(background, "web", syscall.SIGTERM); !fail.Is(err, fail.State) {
			t.Errorf("kill: %v", err)
		}
		if err := f.m.Destroy(background, "web", DestroyOptions{}); !fail.Is(err, fail.State) {
			t.Errorf("destroy: %v", err)
		}
		info, err := f.m.Inspect(background, "web")
		if err != nil || info.Status != StatusRestarting || info.Restarts.Next == nil || info.LastEnd == nil || info.PID != 0 {
			t.Errorf("inspect: %+v, %v", info, err)
		}
		if err := changeWeb(vps.SetRestart{})(f); err != nil {
			t.Errorf("set: %v", err)
		}
	}
	crash := (fakeMonitors{f.w, f.m}).ends
	for range 3 { // the third pause is longer than the time between two looks at the policy
		begun = begun || f.m.nextBoot("web") < 4
		if err := crash(background, "web", crashed); err != nil {
			t.Fatal(err)
		}
		begun = false
	}
	if status, err := f.m.status("web"); err != nil || status != StatusStopped {
		t.Errorf("it is %s: %v", status, err)
	}
}

// The next command starts a VPS whose monitor was killed while it waited to do that.
func TestMonitorKilledWhileItWaits(t *testing.T) {
	f := policy(t, "always")
	run, err := f.m.store.Run("web")
	if err == nil {
		run.State, run.End, run.Init, run.Monitor = state.Ended, &state.End{Reason: "halted"}, state.Process{}, state.Process{}
		run.Restarts.At = new(time.Now())
		err = f.m.store.PutRun("web", run)
	}
	if err := errors.Join(err, loseInit(f), loseMonitor(f)); err != nil {
		t.Fatal(err)
	}
	f.w.loseMounts()
	if all, err := f.m.List(background); err != nil || all[0].Status != StatusRunning {
		t.Errorf("it is %s: %v", all[0].Status, err)
	}
	if err := f.m.Stop(background, "web", StopOptions{Fast: true}); err != nil {
		t.Error(err)
	}
}
