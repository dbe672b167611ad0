package look

import (
	"context"
	"os"
	"testing"

	"croft/internal/state"
	"croft/runtime/observe"
	"croft/runtime/paths"
)

// looker returns a Looker at a store in which the VPS web has a run directory.
func looker(t *testing.T) Looker {
	t.Helper()
	store, err := state.Open(t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(store.RunDir("web"), 0o700); err != nil {
		t.Fatal(err)
	}
	return Looker{Store: store}
}

// The boot that a VPS is in when a wait begins is not the reboot that is waited
// for; the next one is, once it is over.
func TestReachedReboot(t *testing.T) {
	l := looker(t)
	ctx := context.Background()
	reached := func(s observe.Status, boot int) bool {
		t.Helper()
		done, err := l.reached(ctx, "web", UntilReboot, s, state.Run{State: state.Running, Boot: boot}, 3)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	if reached(observe.Running, 4) {
		t.Error("the next boot counts before it is over")
	}
	if err := os.WriteFile(paths.Booted(l.Store, "web"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if reached(observe.Running, 3) {
		t.Error("the present boot counts")
	}
	if reached(observe.Stopped, 4) {
		t.Error("a stopped VPS has booted")
	}
	if !reached(observe.Running, 4) {
		t.Error("the next boot does not count")
	}
}

// An init that was found to have booted is not asked again, and neither is any
// once the time for asking is over. What is noted of one init is not true of the
// next.
func TestBootedIsAskedOnce(t *testing.T) {
	l := looker(t)
	me, err := observe.ProcessOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	noTime, cancel := context.WithCancel(context.Background())
	cancel()
	run := state.Run{State: state.Running, Init: me, Adopted: true}
	if l.Booted(noTime, "web", run) {
		t.Error("it was asked, or taken for one that has booted")
	}
	l.noteBooted("web", me)
	if !l.Booted(noTime, "web", run) {
		t.Error("it was found to have booted, and was asked again")
	}
	run.Init.StartTime++
	if l.Booted(noTime, "web", run) {
		t.Error("the next init is taken for the one that has booted")
	}
	l.ReadOnly = true
	l.noteBooted("web", run.Init)
	if l.seenBooted("web", run.Init) {
		t.Error("a command that changes nothing has written")
	}
}
