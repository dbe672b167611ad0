package runtime

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/endreason"
)

func TestUnitsIn(t *testing.T) {
	const text = "Result=exit-code\nExecMainCode=1\nExecMainStatus=203\nExecStart={ path=/usr/bin/b ; argv[]=/usr/bin/b x=y ; code=exited }\nId=b.service\nLoadState=loaded\n\n" +
		"Id=a.mount\nLoadState=not-found\n\nExecMainCode=many\n\n"
	all := unitsIn(text)
	got := fmt.Sprintf("%+v", all)
	const want = "[{Name:a.mount Load:not-found Result: Code:0 Status:0 Program: Log:[]} {Name:b.service Load:loaded Result:exit-code Code:1 Status:203 Program:/usr/bin/b Log:[]}]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if jobs := runningJobs("12 a.service start running\n13 b.target start waiting\n\nrunning\n"); !slices.Equal(jobs, []string{"a.service"}) {
		t.Errorf("%q", jobs)
	}
}

func TestResolversIn(t *testing.T) {
	got := texts(resolversIn("# nameserver 9.9.9.9\nnameserver 10.0.0.1\nsearch x\nnameserver\nnameserver fe80::1%eth0\nnameserver bad\n nameserver fd00::1 # x\nnameserver 10.0.0.3\nnameserver 10.0.0.4"))
	if !slices.Equal(got, []string{"10.0.0.1", "fd00::1", "10.0.0.3"}) {
		t.Errorf("%q", got)
	}
}

// A VPS that runs, one that a command has stopped, and one that never ran have nothing
// wrong. One that has crashed, or cannot start, says why.
func TestDoctor(t *testing.T) {
	ctx := context.Background()
	m, _ := newFake(t, t.TempDir())
	causes := func() string {
		t.Helper()
		all, err := m.Doctor(ctx, "web")
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, f := range all {
			lines = append(lines, f.What+": "+f.Cause)
		}
		return strings.Join(lines, "\n")
	}
	if _, err := m.Doctor(ctx, "web"); !fail.Is(err, fail.NotFound) {
		t.Errorf("no VPS: %v", err)
	}
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); err != nil {
		t.Fatal(err)
	}
	if got := causes(); got != "" {
		t.Errorf("new: %s", got)
	}
	if err := m.Start(ctx, "web", StartOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(ctx, "web", StopOptions{Fast: true}); err != nil {
		t.Fatal(err)
	}
	if got := causes(); got != "" {
		t.Errorf("stopped: %s", got)
	}
	m.unused = func(ids vps.IDRange) error { return fail.New(fail.Taken, "another process has its ids") }
	if got := causes(); got != "it cannot start: another process has its ids" {
		t.Errorf("taken ids: %s", got)
	}
}

// An end that a command has asked for, or the VPS, is no accident.
func TestAccident(t *testing.T) {
	for _, c := range []struct {
		reason string
		status int
		should bool
		want   bool
	}{
		{endreason.Killed, 137, true, true},
		{endreason.Killed, 137, false, false},
		{endreason.Exited, 1, true, true},
		{endreason.Exited, 0, true, false},
		{endreason.Halted, 0, true, false},
		{endreason.Rebooted, 129, true, false},
	} {
		if got := accident(state.End{Reason: c.reason, Status: c.status}, Info{ShouldRun: c.should}); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
