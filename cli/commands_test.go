package cli

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime"
)

// Several VPSs are worked on at the same time. Each failure is one line, and
// the first in the order of the names makes the status.
func TestForEachAtOnce(t *testing.T) {
	var words []string
	var names []vps.Name
	for n := range 10 {
		words = append(words, "v"+string(rune('0'+n)))
		names = append(names, vps.Name(words[n]))
	}
	errs, err := os.CreateTemp(t.TempDir(), "err")
	if err != nil {
		t.Fatal(err)
	}
	defer errs.Close()
	var mu sync.Mutex
	var done []vps.Name
	waiting := 0
	together := make(chan struct{})
	do := func(_ context.Context, _ command.Manager, name vps.Name) error {
		mu.Lock()
		if waiting++; waiting == 4 {
			close(together)
		}
		done = append(done, name)
		mu.Unlock()
		select {
		case <-together:
		case <-time.After(time.Minute):
			t.Error("no four at the same time")
		}
		switch name {
		case "v3":
			return fail.New(fail.State, "%s is running", name)
		case "v7":
			return fail.New(fail.Busy, "%s is busy", name)
		}
		return nil
	}
	a := &command.App{
		Stdio:   runtime.Stdio{Err: errs},
		Connect: func(o runtime.Options) (command.Manager, error) { return newFake(o, func(string) string { return "" }) },
		Getenv:  func(string) string { return "" }, Now: time.Now,
	}
	a.Report = func(path []string, err error) { printError(a, path, err) }
	a.Screen = display.NewScreen(errs, a.Getenv, a.Now)
	i := &command.Invocation{App: a, Invocation: &cmdline.Invocation{Verb: startVerb(a), Path: []string{"start"}, Words: words}}
	err = command.AtOnce(context.Background(), i, fakeManagers(t, a, 4), names, "start", do)
	if !fail.Is(err, fail.State) {
		t.Errorf("got %v", err)
	}
	slices.Sort(done)
	if !slices.Equal(done, names) {
		t.Errorf("done are %v", done)
	}
	text, err := os.ReadFile(errs.Name())
	if err != nil || strings.Count(string(text), "cannot start") != 2 {
		t.Errorf("printed is %q, %v", text, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	begun := 0
	err = command.AtOnce(ctx, i, fakeManagers(t, a, 1), names, "start", func(context.Context, command.Manager, vps.Name) error {
		begun++
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || begun != 1 {
		t.Errorf("cancelled: %v after %d", err, begun)
	}
}

func fakeManagers(t *testing.T, a *command.App, n int) []command.Manager {
	t.Helper()
	var all []command.Manager
	for range n {
		m, err := a.Connect(runtime.Options{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// No hint proposes these commands to a user who did not type them. Add a new
// command that ends, stops or removes something here and in its verb.
func TestHarmfulCommands(t *testing.T) {
	want := []string{
		"checkpoint", "destroy", "firewall flush", "firewall remove", "host shutdown", "kill", "move", "network remove", "oci delete", "oci kill",
		"publish flush", "publish remove", "rebase", "reinstall", "restart", "route flush", "route remove", "snapshot delete", "snapshot prune", "snapshot restore", "stop", "template prune", "template remote remove", "template remove", "trash empty", "volume remove",
	}
	var got []string
	eachVerb(commands((&command.App{})), nil, func(path []string, v *cmdline.Verb) {
		if v.Harmful {
			got = append(got, strings.Join(path, " "))
		}
	})
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
