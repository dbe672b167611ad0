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
	do := func(_ context.Context, _ Manager, name vps.Name) error {
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
	a := &app{
		stdio:   runtime.Stdio{Err: errs},
		connect: func(o runtime.Options) (Manager, error) { return newFake(o, func(string) string { return "" }) },
		getenv:  func(string) string { return "" }, now: time.Now,
	}
	a.report = func(path []string, err error) { a.printError(path, err) }
	a.screen = display.NewScreen(errs, a.getenv, a.now)
	i := &invocation{app: a, Invocation: &cmdline.Invocation{Verb: a.startVerb(), Path: []string{"start"}, Words: words}}
	err = atOnce(context.Background(), i, fakeManagers(t, a, 4), names, "start", do)
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
	err = atOnce(ctx, i, fakeManagers(t, a, 1), names, "start", func(context.Context, Manager, vps.Name) error {
		begun++
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || begun != 1 {
		t.Errorf("cancelled: %v after %d", err, begun)
	}
}

func fakeManagers(t *testing.T, a *app, n int) []Manager {
	t.Helper()
	var all []Manager
	for range n {
		m, err := a.connect(runtime.Options{})
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
		"destroy", "firewall flush", "firewall remove", "host shutdown", "kill", "network remove", "oci delete", "oci kill",
		"publish flush", "publish remove", "restart", "route flush", "route remove", "snapshot delete", "snapshot prune", "snapshot restore", "stop", "template prune", "template remove", "trash empty", "volume remove",
	}
	var got []string
	eachVerb((&app{}).commands(), nil, func(path []string, v *cmdline.Verb) {
		if v.Harmful {
			got = append(got, strings.Join(path, " "))
		}
	})
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
