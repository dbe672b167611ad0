package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/holder"
	"croft/runtime/moves"
)

// A rebootable is a pretend machine that can boot, shut down and lose its power.
type rebootable struct {
	t   *testing.T
	dir string
	m   *Manager
	w   *world
}

func newRebootable(t *testing.T) *rebootable {
	h := &rebootable{t: t, dir: t.TempDir()}
	h.m, h.w = newFake(t, h.dir)
	return h
}

// vps creates a VPS for each of the options.
func (h *rebootable) vps(name vps.Name, o CreateOptions) {
	h.t.Helper()
	o.Template = "t"
	if _, err := h.m.Create(context.Background(), name, o); err != nil {
		h.t.Fatal(err)
	}
}

func (h *rebootable) start(names ...string) {
	h.t.Helper()
	for _, name := range names {
		if err := h.m.Start(context.Background(), vps.Name(name), StartOptions{}); err != nil {
			h.t.Fatal(err)
		}
	}
}

// cut is a power cut: no process runs any more, and files in /run, mounts and links are
// gone.
func (h *rebootable) cut() {
	h.t.Helper()
	h.w.mu.Lock()
	for name, life := range h.w.held {
		life.Close()
		delete(h.w.held, name)
	}
	h.w.mu.Unlock()
	for _, dir := range []string{filepath.Join(h.dir, "run"), h.w.dir} {
		if err := os.RemoveAll(dir); err != nil {
			h.t.Fatal(err)
		}
	}
	h.m, h.w = newFake(h.t, h.dir)
}

// boot boots the host and returns the results and the running VPSs.
func (h *rebootable) boot() (told []string, runs string) {
	h.t.Helper()
	results, err := h.m.BootHost(context.Background(), StartOptions{}, func(r HostResult) { told = append(told, string(r.Name)) })
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			told = append(told, fmt.Sprintf("%s: %v", r.Name, r.Err))
		}
	}
	return told, h.running()
}

func (h *rebootable) running() string {
	h.t.Helper()
	all, err := h.m.List(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	var names []string
	for _, v := range all {
		if v.Status == StatusRunning {
			names = append(names, string(v.Name))
		}
	}
	return strings.Join(names, " ")
}

func (h *rebootable) wantRunning(want string) {
	h.t.Helper()
	if got := h.running(); got != want {
		h.t.Errorf("%q run, not %q", got, want)
	}
}

// A boot starts the right VPSs after each way in which a VPS and the host can end.
func TestWhatABootStarts(t *testing.T) {
	ctx := context.Background()
	shutdown := func(h *rebootable) {
		if _, err := h.m.ShutdownHost(ctx, ShutdownOptions{Timeout: time.Millisecond}, func(HostResult) {}); err != nil {
			h.t.Fatal(err)
		}
		h.wantRunning("")
		h.cut() // the machine is switched off
	}
	// A wait status of n is "ended by signal n", n<<8 "exited with n".
	ended := func(status uint32) func(*rebootable) error {
		return func(h *rebootable) error { return h.ended(holder.End{Known: true, Status: status}) }
	}
	for what, c := range map[string]struct {
		before func(*rebootable) error
		last   bool // whether a boot starts it with --onboot last
	}{
		"nothing":           {func(*rebootable) error { return nil }, true},
		"stop":              {func(h *rebootable) error { return h.m.Stop(ctx, "web", StopOptions{Fast: true}) }, false},
		"kill":              {func(h *rebootable) error { return h.m.Kill(ctx, "web", syscall.SIGKILL) }, false},
		"restart":           {func(h *rebootable) error { return h.m.Restart(ctx, "web", StopOptions{Fast: true}, StartOptions{}) }, true},
		"a signal to init":  {func(h *rebootable) error { return h.m.Kill(ctx, "web", syscall.SIGHUP) }, true},
		"poweroff inside":   {ended(uint32(syscall.SIGINT)), false},
		"reboot inside":     {ended(uint32(syscall.SIGHUP)), true},
		"init is killed":    {ended(uint32(syscall.SIGKILL)), true},
		"init exits with 0": {ended(0), false},
		"init exits with 1": {ended(1 << 8), true},
		"it is not known":   {func(h *rebootable) error { return h.ended(holder.End{}) }, true},
		"stop after an end": {func(h *rebootable) error { return errors.Join(ended(1)(h), h.m.Stop(ctx, "web", StopOptions{})) }, false},
		"stop and start": {func(h *rebootable) error {
			return errors.Join(h.m.Stop(ctx, "web", StopOptions{Fast: true}), h.m.Start(ctx, "web", StartOptions{}))
		}, true},
		"poweroff, and start": {func(h *rebootable) error {
			return errors.Join(ended(uint32(syscall.SIGINT))(h), h.m.Start(ctx, "web", StartOptions{}))
		}, true},
	} {
		for end, down := range map[string]func(*rebootable){"shutdown": shutdown, "power cut": (*rebootable).cut} {
			for _, onboot := range []vps.OnBoot{vps.OnBootYes, vps.OnBootNo, vps.OnBootLast} {
				h := newRebootable(t)
				h.vps("web", CreateOptions{OnBoot: onboot})
				h.vps("idle", CreateOptions{OnBoot: onboot}) // never started
				h.start("web")
				if err := c.before(h); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				down(h)
				told, runs := h.boot()
				want := map[vps.OnBoot]string{vps.OnBootYes: "idle web", vps.OnBootNo: "", vps.OnBootLast: ""}[onboot]
				if onboot == vps.OnBootLast && c.last {
					want = "web"
				}
				if runs != want || strings.Join(sorted(told), " ") != want {
					t.Errorf("%s, then %s, onboot %q: %q run, told of %q, want %q", what, end, onboot, runs, told, want)
				}
				if told, runs := h.boot(); len(told) != 0 || runs != want {
					t.Errorf("a second boot: told of %q, %q run", told, runs)
				}
			}
		}
	}
}

// ended ends the init of web.
func (h *rebootable) ended(how holder.End) error {
	h.w.end("web")
	_, err := (&monitor{Manager: h.m, name: "web"}).sweepAfterEnd(context.Background(), how)
	return err
}

// A start that fails does not mark the VPS as one that should run, and does not remove
// an earlier mark.
func TestFailedStartKeepsTheMark(t *testing.T) {
	for _, before := range []bool{false, true} {
		for n := 1; ; n++ {
			h := newRebootable(t)
			h.vps("web", CreateOptions{})
			if before {
				h.start("web")
				h.cut()
			}
			h.w.effects, h.w.failAt = 0, n
			err := h.m.Start(context.Background(), "web", StartOptions{})
			if err == nil && h.w.effects < n {
				break
			}
			if err == nil {
				continue
			}
			if marked, err := h.m.store.ShouldRun("web"); err != nil || marked != before {
				t.Errorf("effect %d failed: marked: %v, before: %v (%v)", n, marked, before, err)
			}
		}
	}
}

func TestBootOrder(t *testing.T) {
	h := newRebootable(t)
	for name, order := range map[string]int{"db": 10, "cache": 10, "web": 5, "a": 0, "b": 0} {
		h.vps(vps.Name(name), CreateOptions{OnBoot: vps.OnBootYes, BootOrder: order})
	}
	h.vps("gone", CreateOptions{OnBoot: vps.OnBootYes, Ephemeral: true})
	told, runs := h.boot()
	if runs != "a b cache db web" {
		t.Errorf("%q run", runs)
	}
	groups := func(told []string) string {
		if len(told) != 5 {
			t.Fatalf("told of %q", told)
		}
		return fmt.Sprint(sorted(told[:2]), told[2:3], sorted(told[3:]))
	}
	if got := groups(told); got != "[cache db] [web] [a b]" {
		t.Errorf("started in this order: %s", got)
	}
	told = nil
	results, err := h.m.ShutdownHost(context.Background(), ShutdownOptions{Timeout: time.Nanosecond}, func(r HostResult) { told = append(told, string(r.Name)) })
	if err != nil || len(results) != 5 {
		t.Fatalf("%+v, %v", results, err)
	}
	for _, r := range results {
		if !fail.Is(r.Err, fail.Timeout) {
			t.Errorf("%s was killed, and that is no %v", r.Name, r.Err)
		}
	}
	told[0], told[1], told[3], told[4] = told[3], told[4], told[0], told[1]
	if got := groups(told); got != "[cache db] [web] [a b]" {
		t.Errorf("stopped in the reverse of this order: %s", got)
	}
	h.wantRunning("")
}

// A VPS that cannot start is reported and does not stop others.
func TestBootGoesOnAfterFailures(t *testing.T) {
	h := newRebootable(t)
	for name, order := range map[string]int{"first": 9, "broken": 5, "busy": 5, "last": 1} {
		h.vps(vps.Name(name), CreateOptions{BootOrder: order})
		h.start(name)
	}
	h.vps("odd", CreateOptions{}) // unreadable too, and never started
	h.cut()
	for _, name := range []string{"broken", "odd"} {
		if err := os.WriteFile(h.m.store.VPSFile(vps.Name(name)), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	held, err := h.m.store.Lock(context.Background(), "busy", "croft test", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Unlock()
	h.m.lockWait = 0
	var told []string
	results, err := h.m.BootHost(context.Background(), StartOptions{}, func(r HostResult) { told = append(told, string(r.Name)) })
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]fail.Kind{}
	for _, r := range results {
		if got[string(r.Name)] = 0; r.Err != nil {
			got[string(r.Name)] = fail.KindOf(r.Err)
		}
	}
	// The boot order of a VPS that cannot be read is not known.
	want := map[string]fail.Kind{"first": 0, "busy": fail.Busy, "last": 0, "broken": fail.State}
	if !reflect.DeepEqual(got, want) || len(told) != 4 {
		t.Errorf("got %v, told of %v", got, told)
	}
	h.wantRunning("first last")
}

func TestShutdownWaitsForOthers(t *testing.T) {
	h := newRebootable(t)
	h.vps("web", CreateOptions{})
	h.start("web")
	h.m.lockWait = 0
	held, err := h.m.store.Lock(context.Background(), "web", "croft stop web", 0)
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		results, err := h.m.ShutdownHost(context.Background(), ShutdownOptions{}, func(HostResult) {})
		// No error if it looks after the other command has ended the VPS.
		if err != nil || len(results) > 1 || len(results) == 1 && results[0].Err != nil {
			t.Errorf("%+v, %v", results, err)
		}
	})
	// The other command ends the VPS, and there is nothing left to do.
	if err := h.ended(holder.End{Known: true, Status: uint32(syscall.SIGINT)}); err != nil {
		t.Error(err)
	}
	held.Unlock()
	done.Wait()
	h.wantRunning("")
}

// A VPS without a monitor is stopped too, and does not get a new one.
func TestShutdownStopsOrphans(t *testing.T) {
	h := newRebootable(t)
	h.vps("web", CreateOptions{})
	h.start("web")
	h.w.held["web"].Close()
	delete(h.w.held, "web")
	results, err := h.m.ShutdownHost(context.Background(), ShutdownOptions{Timeout: 300 * time.Millisecond}, func(HostResult) {})
	// The init is this process and does not end.
	if err != nil || len(results) != 1 || !fail.Is(results[0].Err, fail.Timeout) {
		t.Errorf("%+v, %v", results, err)
	}
	if h.w.has("container", "web") || h.w.has("link", "web") || len(h.w.held) > 0 {
		t.Errorf("left is\n%s\nand %v", h.w, h.w.held)
	}
	if marked, err := h.m.store.ShouldRun("web"); err != nil || !marked {
		t.Errorf("marked: %v, %v", marked, err)
	}
}

func TestCalledOffBoot(t *testing.T) {
	h := newRebootable(t)
	h.vps("a", CreateOptions{OnBoot: vps.OnBootYes, BootOrder: 1})
	h.vps("b", CreateOptions{OnBoot: vps.OnBootYes})
	ctx, cancel := context.WithCancel(context.Background())
	_, err := h.m.BootHost(ctx, StartOptions{}, func(HostResult) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the boot says %v", err)
	}
	h.wantRunning("a")
}

func TestSet(t *testing.T) {
	ctx := context.Background()
	h := newRebootable(t)
	h.vps("web", CreateOptions{OnBoot: vps.OnBootNo, BootOrder: 3, StopTime: 90 * time.Second})
	want := func(onboot string, order, stop int) {
		t.Helper()
		v, err := h.m.Inspect(ctx, "web")
		if err != nil || v.OnBoot != onboot || v.BootOrder != order || v.StopAfter != stop {
			t.Errorf("onboot %s, order %d, stop %d, want %s, %d, %d (%v)", v.OnBoot, v.BootOrder, v.StopAfter, onboot, order, stop, err)
		}
	}
	want("no", 3, 90)
	for _, c := range []struct {
		edits       []vps.Edit
		onboot      string
		order, stop int
	}{
		{nil, "no", 3, 90},
		{[]vps.Edit{vps.SetOnBoot{OnBoot: vps.OnBootYes}}, "yes", 3, 90},
		{[]vps.Edit{vps.SetBootOrder{}}, "yes", 0, 90},
		{[]vps.Edit{vps.SetStopTimeout{Timeout: 1500 * time.Millisecond}, vps.SetOnBoot{}}, "last", 0, 2},
		{[]vps.Edit{vps.SetStopTimeout{}}, "last", 0, 60},
	} {
		if err := h.m.Change(ctx, "web", c.edits...); err != nil {
			t.Fatal(err)
		}
		want(c.onboot, c.order, c.stop)
	}
	for _, e := range []vps.Edit{vps.SetOnBoot{OnBoot: "perhaps"}, vps.SetBootOrder{Order: -1}, vps.SetStopTimeout{Timeout: 400 * 24 * time.Hour}} {
		if err := h.m.Change(ctx, "web", e); !fail.Is(err, fail.Usage) {
			t.Errorf("%s: %v", e, err)
		}
	}
	want("last", 0, 60)
	if err := h.m.Change(ctx, "nobody"); !fail.Is(err, fail.NotFound) {
		t.Errorf("nobody: %v", err)
	}
	if v, err := h.m.store.Get("web"); err != nil || v.StopTimeout() != DefaultStopTimeout {
		t.Errorf("%v, %v", v, err)
	}
	if got := (vps.VPS{StopAfter: 5}).StopTimeout(); got != 5*time.Second {
		t.Errorf("it has %s to stop", got)
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// Commands for all VPSs leave out those that belong to another host since a move. A record
// that cannot be read is an error of the start.
func TestAllLeavesOutMoved(t *testing.T) {
	h := newRebootable(t)
	now := time.Now()
	for name, step := range map[vps.Name]state.MoveStep{
		"mine": "", "copying": state.MoveCopying, "back": state.MoveAbandoned, "arrived": state.MoveArrived,
		"committed": state.MoveCommitted, "moved": state.MoveDone, "incoming": state.MoveIncoming, "damaged": "damaged",
	} {
		h.vps(name, CreateOptions{OnBoot: vps.OnBootYes})
		l, err := h.m.lock(background, name)
		if err != nil {
			t.Fatal(err)
		}
		switch step {
		case "":
		case "damaged":
			err = os.WriteFile(filepath.Join(h.m.store.VPSDir(name), "move.json"), []byte("{"), 0o600)
		default:
			err = l.PutMove(moves.At(moves.Source("token", "far", name, false, false, now), step))
		}
		l.Unlock()
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := h.m.NamesHere()
	if want := []vps.Name{"arrived", "back", "copying", "damaged", "mine"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	told, runs := h.boot()
	if runs != "arrived back copying mine" || !slices.ContainsFunc(told, func(s string) bool { return strings.HasPrefix(s, "damaged: ") }) {
		t.Errorf("a boot says %q, and %s run", told, runs)
	}
	for _, name := range []vps.Name{"moved", "committed", "incoming"} {
		if err := h.m.Start(background, name, StartOptions{}); !fail.Is(err, fail.State) {
			t.Errorf("start %s: %v", name, err)
		}
	}
}
