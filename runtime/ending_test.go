package runtime

import (
	"syscall"
	"testing"

	"croft/internal/state"
)

// A kill is what running out of memory can end a VPS by, of init or of the
// program that croft's own init passes the status of on.
func TestByKill(t *testing.T) {
	for _, c := range []struct {
		status uint32 // as wait(2) has it
		want   bool
	}{
		{9, true}, {137 << 8, true}, {15, true}, {0, false}, {3 << 8, false}, {1, false}, {2, false},
	} {
		if e := ending(syscall.WaitStatus(c.status)); byKill(e) != c.want {
			t.Errorf("%+v: by a kill: %v", e, !c.want)
		}
	}
	e := outOfMemory(state.End{Reason: endKilled, Detail: "init was killed"})
	if !e.OutOfMemory || e.Detail != "init was killed, and the VPS had run out of memory" {
		t.Errorf("%+v", e)
	}
}
