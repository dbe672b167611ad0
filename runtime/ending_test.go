package runtime

import (
	"syscall"
	"testing"

	"croft/internal/initkind"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/guests"
	"croft/runtime/holder"
	"croft/runtime/hostfacts"
	"croft/template"
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

func TestEnding(t *testing.T) {
	for status, want := range map[syscall.WaitStatus]string{
		syscall.WaitStatus(syscall.SIGHUP): endRebooted, syscall.WaitStatus(syscall.SIGINT): endHalted,
		syscall.WaitStatus(syscall.SIGKILL): endKilled, 0: endExited, 7 << 8: endExited,
	} {
		if got := ending(status); got.Reason != want || got.Detail == "" {
			t.Errorf("ending(%#x) = %+v, want %s", int(status), got, want)
		}
	}
	if got := ending(7 << 8).Status; got != 7 {
		t.Errorf("exit status %d, want 7", got)
	}
}

func TestEndOfAnAdoptedInit(t *testing.T) {
	for _, c := range []struct {
		seen holder.End
		want string
	}{
		{holder.End{Known: true, Status: 1}, endRebooted},
		{holder.End{Known: true, Status: 9}, endKilled},
		{holder.End{Known: true, Status: 0}, endExited},
		{holder.End{Known: true, Own: true, Status: 0}, EndUnknown},
		{holder.End{Known: true, Own: true, Status: 9}, EndUnknown},
		{holder.End{Known: true, Own: true, Status: 7 << 8}, endExited},
		{holder.End{}, EndUnknown},
	} {
		if got := endOf(c.seen).Reason; got != c.want {
			t.Errorf("%+v: %s, want %s", c.seen, got, c.want)
		}
	}
}

// A systemd with all capabilities is told which of its units fail.
func TestUnitsLeftOut(t *testing.T) {
	for _, c := range []struct {
		allow []string
		kind  initkind.Kind
		want  int
	}{
		{nil, initkind.Systemd, 1}, {[]string{"vsock"}, initkind.Systemd, 1}, {[]string{"capabilities"}, initkind.Systemd, 5}, {[]string{"capabilities"}, initkind.SysV, 1},
	} {
		s := settings(vps.VPS{Allow: c.allow}, guests.Init{Path: "/sbin/init", Kind: c.kind}, hostfacts.Facts{}, template.Image{}, "")
		if len(s.Init) != c.want || s.Init[0] != "/sbin/init" {
			t.Errorf("%v, %s: %q", c.allow, c.kind, s.Init)
		}
	}
}
