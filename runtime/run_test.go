package runtime

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"croft/internal/initkind"
	"croft/internal/state"
	"croft/runtime/holder"
	"croft/runtime/hooks"
	"croft/template"
)

func TestArgumentsOf(t *testing.T) {
	app := template.Image{Entrypoint: []string{"entry"}, Cmd: []string{"serve"}}
	for _, c := range []struct {
		what  string
		image template.Image
		args  []string
		want  string
	}{
		{"the image's own", app, nil, "entry serve"},
		{"others", app, []string{"a", "b"}, "entry a b"},
		{"no entrypoint", template.Image{Cmd: []string{"serve"}}, []string{"a"}, "a"},
		{"one that boots", template.Image{Init: "systemd", Cmd: []string{"serve"}}, nil, ""},
		{"busybox and a command", template.Image{Init: "busybox", Cmd: []string{"sh"}}, nil, "sh"},
		{"busybox that is meant", template.Image{Init: "busybox", Cmd: []string{"/sbin/init"}}, nil, ""},
		{"busybox alone", template.Image{Init: "busybox"}, []string{"a"}, "a"},
	} {
		if got := strings.Join(slices.Clone(argumentsOf(c.image, c.args)), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// croft finds its own init by the name of the program.
func TestOwnInitIsAKind(t *testing.T) {
	if kind := initkind.Of("/run/" + holder.InitName); kind != initkind.Croft {
		t.Errorf("%s is an init of kind %s", holder.InitName, kind)
	}
}

// A run leaves a VPS that runs to its monitor. One whose monitor or init has ended, and one
// with hooks, it destroys itself.
func TestRunLeavesItsVPS(t *testing.T) {
	m, _ := newFake(t, t.TempDir())
	runner, err := m.thisRunner()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Create(background, "web", CreateOptions{Template: "busybox", Ephemeral: true, runner: runner}); err != nil {
		t.Fatal(err)
	}
	v, err := m.store.Get("web")
	if err != nil {
		t.Fatal(err)
	}
	me := state.Process{PID: runner.PID, StartTime: runner.StartTime}
	if err := m.store.PutRun("web", state.Run{Schema: state.Schema, HostBoot: hostBoot(t), State: state.Running, Monitor: me, Init: me}); err != nil {
		t.Fatal(err)
	}
	if m.abandoned(v) {
		t.Error("it is abandoned while its command runs")
	}
	if m.leave("web") {
		t.Error("it is left without a monitor")
	}
	l, err := m.store.Lock(background, "web", "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	life, err := l.Life()
	l.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	defer life.Close()
	if !m.leave("web") || !m.abandoned(v) {
		t.Error("its monitor does not destroy it")
	}
	m.hooks = hooks.Dir{Path: t.TempDir()}
	if err := os.WriteFile(filepath.Join(m.hooks.Path, "10-report"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if m.leave("web") {
		t.Error("the command does not run its hooks")
	}
	m.hooks = hooks.Dir{}
	gone := me
	gone.StartTime++
	if err := m.store.PutRun("web", state.Run{Schema: state.Schema, HostBoot: hostBoot(t), State: state.Running, Monitor: me, Init: gone}); err != nil {
		t.Fatal(err)
	}
	if m.leave("web") {
		t.Error("it is left to a monitor that may have looked already whether it is abandoned")
	}
}
