package runtime

import (
	"context"
	"os"
	"testing"

	"croft/internal/state"
	"croft/runtime/observe"
)

// An init that was found to have booted is not asked again, and neither is any
// once the time for asking is over. What is noted of one init is not true of the
// next.
func TestBootedIsAskedOnce(t *testing.T) {
	m, _ := newFake(t, t.TempDir())
	me, err := observe.ProcessOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(m.store.RunDir("web"), 0o700); err != nil {
		t.Fatal(err)
	}
	noTime, cancel := context.WithCancel(context.Background())
	cancel()
	run := state.Run{State: state.Running, Init: me, Adopted: true}
	if m.booted(noTime, "web", run) {
		t.Error("it was asked, or taken for one that has booted")
	}
	m.noteUp("web", me)
	if !m.booted(noTime, "web", run) {
		t.Error("it was found to have booted, and was asked again")
	}
	run.Init.StartTime++
	if m.booted(noTime, "web", run) {
		t.Error("the next init is taken for the one that has booted")
	}
	m.readOnly = true
	m.noteUp("web", run.Init)
	if m.knownUp("web", run.Init) {
		t.Error("a command that changes nothing has written")
	}
}
