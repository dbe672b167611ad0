package endreason

import (
	"syscall"
	"testing"

	"croft/internal/state"
	"croft/runtime/holder"
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
		if e := ofStatus(syscall.WaitStatus(c.status)); WasKilled(e) != c.want {
			t.Errorf("%+v: by a kill: %v", e, !c.want)
		}
	}
	e := OutOfMemory(state.End{Reason: Killed, Detail: "init was killed"})
	if !e.OutOfMemory || e.Detail != "init was killed, and the VPS had run out of memory" {
		t.Errorf("%+v", e)
	}
}

func TestEnding(t *testing.T) {
	for status, want := range map[syscall.WaitStatus]string{
		syscall.WaitStatus(syscall.SIGHUP): Rebooted, syscall.WaitStatus(syscall.SIGINT): Halted,
		syscall.WaitStatus(syscall.SIGKILL): Killed, 0: Exited, 7 << 8: Exited,
	} {
		if got := ofStatus(status); got.Reason != want || got.Detail == "" {
			t.Errorf("ofStatus(%#x) = %+v, want %s", int(status), got, want)
		}
	}
	if got := ofStatus(7 << 8).Status; got != 7 {
		t.Errorf("exit status %d, want 7", got)
	}
}

func TestEndOfAnAdoptedInit(t *testing.T) {
	for _, c := range []struct {
		seen holder.End
		want string
	}{
		{holder.End{Known: true, Status: 1}, Rebooted},
		{holder.End{Known: true, Status: 9}, Killed},
		{holder.End{Known: true, Status: 0}, Exited},
		{holder.End{Known: true, Own: true, Status: 0}, Unknown},
		{holder.End{Known: true, Own: true, Status: 9}, Unknown},
		{holder.End{Known: true, Own: true, Status: 7 << 8}, Exited},
		{holder.End{}, Unknown},
	} {
		if got := Of(c.seen).Reason; got != c.want {
			t.Errorf("%+v: %s, want %s", c.seen, got, c.want)
		}
	}
}
