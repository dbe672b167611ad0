package runtime

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/observe"
	"croft/runtime/paths"
)

// A VPS that is stopped during its reboot, at any effect, stays stopped.
func TestStopDuringAReboot(t *testing.T) {
	for _, o := range []StopOptions{{Fast: true}, {Timeout: time.Hour}} {
		for n := 1; stopsAt(t, n, o); n++ {
		}
	}
}

// stopsAt stops a VPS at the n-th effect of its reboot. It reports whether the reboot has
// so many effects.
func stopsAt(t *testing.T, n int, o StopOptions) bool {
	t.Helper()
	f := newFaulty(t, memoryDir(t))
	defer f.end()
	if err := errors.Join(createWeb(f), startWeb(f)); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	var at string
	f.w.effects, f.w.before = 0, func(effect int, what string) {
		if effect != n || !o.Fast && what == "run init" { // this init would have to answer
			return
		}
		at = what
		go func() { stopped <- f.m.Stop(background, "web", o) }()
		for deadline := time.Now().Add(time.Minute); !paths.Exists(paths.StopRequest(f.m.store, "web")); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Error("the stop does not begin")
				return
			}
		}
	}
	_ = fakeMonitors{f.w, f.m}.reboot(background, "web") // says that it was stopped
	if at == "" {
		return false
	}
	what := fmt.Sprintf("%+v at effect %d (%s)", o, n, at)
	if err := <-stopped; err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if status, err := f.m.status("web"); err != nil || status != StatusStopped {
		t.Errorf("%s: it is %s: %v", what, status, err)
	}
	if should, err := f.m.store.ShouldRun("web"); should || err != nil {
		t.Errorf("%s: the next boot of the host starts it: %v", what, err)
	}
	if got := f.w.String(); got != "" {
		t.Errorf("%s: left\n%s", what, got)
	}
	return true
}

// A VPS runs again after a reboot, whichever effect fails once.
func TestRebootIsTriedAgain(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			f := newFaulty(t, memoryDir(t))
			if err := errors.Join(createWeb(f), startWeb(f)); err != nil {
				t.Fatal(err)
			}
			f.w.effects, f.w.failAt, f.w.after = 0, n, after
			err := fakeMonitors{f.w, f.m}.reboot(background, "web")
			if status, err := f.m.status("web"); err != nil || status != StatusRunning {
				t.Errorf("effect %d (%s, after %v) failed: it is %s: %v", n, f.w.last, after, status, err)
			}
			f.end()
			if f.w.effects < n {
				break
			}
			if err != nil && !errors.Is(err, errWorld) {
				t.Errorf("effect %d (%s, after %v) failed: %v", n, f.w.last, after, err)
			}
		}
	}
}

// No command takes another process with the pid of an ended init for that init.
func TestAnotherProcessIsNotTouched(t *testing.T) {
	other := exec.Command("sleep", "86400")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	process, err := observe.ProcessOf(other.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands() {
		f := newFaulty(t, memoryDir(t))
		if err := c.prepare(f); err != nil {
			t.Fatal(err)
		}
		run, err := f.m.store.Run("web")
		if err != nil || run.State != state.Running || !observe.Alive(run.Init) {
			f.end()
			continue
		}
		if life := f.w.letGo("web"); life != nil {
			life.Close()
		}
		run.Init = state.Process{PID: process.PID, StartTime: process.StartTime - 1}
		if err := errors.Join(loseInit(f), f.m.store.PutRun("web", run)); err != nil {
			t.Fatal(err)
		}
		if err := c.do(f); err != nil && fail.KindOf(err) == fail.Internal {
			t.Errorf("%s: %v", c.name, err)
		}
		if !observe.Alive(process) {
			t.Fatalf("%s ended it", c.name)
		}
		for _, kind := range []string{"firewall", "routes"} {
			if f.w.has(kind, strconv.Itoa(process.PID)) {
				t.Errorf("%s changed its %s", c.name, kind)
			}
		}
		f.end()
	}
}

// A change of the firewall or of a route while the VPS is killed is saved for the next
// start.
func TestChangeWhileItIsKilled(t *testing.T) {
	for _, change := range []func(*faulty) error{changeWeb(someRule), changeWeb(someRoute)} {
		f := newFaulty(t, memoryDir(t))
		if err := errors.Join(createWeb(f), startWeb(f)); err != nil {
			t.Fatal(err)
		}
		f.w.before = func(_ int, what string) {
			if what == "set firewall" || what == "set routes" {
				if err := f.w.endInit("web"); err != nil {
					t.Error(err)
				}
			}
		}
		if err := change(f); err != nil {
			t.Error(err)
		}
		v, err := f.m.store.Get("web")
		if err != nil || len(v.Firewall.Rules)+len(v.Routing.Routes) != 1 {
			t.Errorf("saved: %+v, %+v, %v", v.Firewall, v.Routing, err)
		}
	}
}

// A change during a reboot, at any effect, counts for the VPS that runs afterwards.
func TestChangeDuringAReboot(t *testing.T) {
	for n := 1; changesAt(t, n); n++ {
	}
}

// changesAt changes a VPS at the n-th effect of its reboot. It reports whether the reboot
// has so many effects.
func changesAt(t *testing.T, n int) bool {
	t.Helper()
	f := newFaulty(t, memoryDir(t))
	defer f.end()
	if err := errors.Join(createWeb(f), startWeb(f)); err != nil {
		t.Fatal(err)
	}
	changed := make(chan error, 1)
	var at string
	f.w.effects, f.w.before = 0, func(effect int, what string) {
		if effect != n {
			return
		}
		at = what
		go func() {
			changed <- f.m.Change(background, "web", vps.LimitMemory.Set(64<<20), vps.SetPolicy{Chain: vps.ChainInput, Policy: vps.PolicyDrop})
		}()
		saved := func() bool {
			v, err := f.m.store.Get("web")
			return err == nil && v.Limits.Memory == 64<<20
		}
		for deadline := time.Now().Add(time.Minute); !saved(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Error("the change is not saved")
				return
			}
		}
	}
	if err := (fakeMonitors{f.w, f.m}).reboot(background, "web"); err != nil {
		t.Errorf("at effect %d (%s): %v", n, at, err)
	}
	if at == "" {
		return false
	}
	what := fmt.Sprintf("at effect %d (%s)", n, at)
	if err := <-changed; err != nil {
		t.Errorf("%s: %v", what, err)
	}
	run, err := f.m.store.Run("web")
	if err != nil || run.State != state.Running || !observe.Alive(run.Init) {
		t.Errorf("%s: %+v, %v", what, run, err)
	}
	if !f.w.has("firewall", strconv.Itoa(run.Init.PID)) {
		t.Errorf("%s: it has no firewall", what)
	}
	spec, err := bundles.Read(f.m.store.BundleDir("web"))
	if err != nil {
		t.Fatal(err)
	}
	memory := spec.Linux.Resources.Memory
	if now := f.w.limits["web"]; (memory == nil || *memory.Limit != 64<<20) && !strings.Contains(now, "memory 67108864") {
		t.Errorf("%s: its memory is %+v, %q", what, memory, now)
	}
	return true
}
