package runtime

import (
	"context"
	"os"
	"testing"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/runtime/observe"
)

// The hint for a VPS that is starting or stopping is a command that helps. A start that
// is killed leaves a monitor that continues, so "croft start" and "croft restart" do
// not help then.
func TestBetween(t *testing.T) {
	ctx := context.Background()
	m, _ := newFake(t, t.TempDir())
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "busybox"}); err != nil {
		t.Fatal(err)
	}
	me, err := observe.ProcessOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	gone := state.Process{PID: me.PID, StartTime: me.StartTime + 1}
	told := func(when string, err error, text, hint string) {
		t.Helper()
		if !fail.Is(err, fail.State) || err.Error() != text || fail.HintOf(err) != hint {
			t.Errorf("%s: %v (%s), and not %s (%s)", when, err, fail.HintOf(err), text, hint)
		}
	}
	inside := func(when, text, hint string) {
		t.Helper()
		_, err := m.Exec(ctx, "web", ExecOptions{Args: []string{"true"}})
		told(when+", exec", err, text, hint)
		told(when+", pause", m.Pause(ctx, "web"), text, hint)
		_, err = m.Processes(ctx, "web")
		told(when+", top", err, text, hint)
	}
	inside("stopped", "web is not running", "croft start web")

	l, err := m.store.Lock(ctx, "web", "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	life, err := l.Life()
	if err != nil {
		t.Fatal(err)
	}
	defer life.Close()
	l.Unlock()
	const starting, up = "web is still starting", "croft wait --for running web"
	const ending, down = "web is shutting down", "croft wait --for stopped web"
	for _, c := range []struct {
		when       string
		run        state.Run
		text, hint string
	}{
		{"nothing is written yet", state.Run{}, starting, up},
		{"nothing is written of this boot yet", state.Run{State: state.Ended, Monitor: gone}, starting, up},
		{"its monitor prepares", state.Run{State: state.Starting, Monitor: me}, starting, up},
		{"its init has ended", state.Run{State: state.Running, Monitor: me, Init: gone}, ending, down},
		{"its monitor sweeps", state.Run{State: state.Ended, Monitor: me, Init: gone}, ending, down},
	} {
		c.run.Schema, c.run.HostBoot = state.Schema, hostBoot(t)
		if err := m.store.PutRun("web", c.run); err != nil {
			t.Fatal(err)
		}
		inside(c.when, c.text, c.hint)
		status := map[string]Status{starting: StatusStarting, ending: StatusStopping}[c.text]
		if info, err := m.Inspect(ctx, "web"); err != nil || info.Status != status || info.PID != 0 {
			t.Errorf("%s, inspect: %s, %v, and not %s", c.when, info.Status, err, status)
		}
		if all, err := m.List(ctx); err != nil || len(all) != 1 || all[0].Status != status {
			t.Errorf("%s, list: %+v, %v, and not %s", c.when, all, err, status)
		}
		told(c.when+", start", m.Start(ctx, "web", StartOptions{}), c.text, c.hint)
	}
	run := state.Run{Schema: state.Schema, HostBoot: hostBoot(t), State: state.Running, Monitor: me, Init: me}
	if err := m.store.PutRun("web", run); err != nil {
		t.Fatal(err)
	}
	monitors := func(want int) {
		t.Helper()
		if info, err := m.Inspect(ctx, "web"); err != nil || info.Status != StatusRunning || info.MonitorPID != want {
			t.Errorf("inspect: %s, monitor %d, %v, and not %d", info.Status, info.MonitorPID, err, want)
		}
	}
	monitors(me.PID)
	run.Monitor = gone // a new one has the lock, and prepares
	if err := m.store.PutRun("web", run); err != nil {
		t.Fatal(err)
	}
	monitors(0)
	told("running, start", m.Start(ctx, "web", StartOptions{}), "web is running already", "croft list web")
}
