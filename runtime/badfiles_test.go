package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/undo"
	"croft/internal/vps"
)

// A run.json that cannot be read does not affect other VPSs in a boot or a shutdown of
// the host. A VPS with a corrupt one can start.
func TestBadRunFileStopsNothing(t *testing.T) {
	ctx := context.Background()
	m, w := newFake(t, t.TempDir())
	for _, name := range []string{"bad", "new", "web"} {
		if _, err := m.Create(ctx, vps.Name(name), CreateOptions{Template: "t", OnBoot: vps.OnBootYes}); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(m.store.RunDir(vps.Name(name)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	newer := fmt.Sprintf(`{"schema": 9, "hostBoot": %q}`, hostBoot(t))
	err := errors.Join(os.WriteFile(m.store.RunFile("bad"), []byte("{"), 0o600), os.WriteFile(m.store.RunFile("new"), []byte(newer), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	results, err := m.BootHost(ctx, StartOptions{}, func(HostResult) {})
	if err != nil {
		t.Fatal(err)
	}
	started := map[string]error{}
	for _, r := range results {
		started[string(r.Name)] = r.Err
	}
	if err, told := started["web"]; !told || err != nil {
		t.Errorf("web: %v", started)
	}
	if err, told := started["bad"]; !told || err != nil {
		t.Errorf("bad: %v", started)
	}
	if err := os.WriteFile(m.store.RunFile("new"), []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	told := 0
	if _, err := m.ShutdownHost(ctx, ShutdownOptions{Timeout: 1}, func(HostResult) { told++ }); err != nil || told == 0 {
		t.Errorf("shutdown: %v after %d", err, told)
	}
	if w.has("container", "web") {
		t.Errorf("left %s", w)
	}
}

// A VPS that is stopped according to its files, but has processes, is listed as
// orphaned, and a stop ends the processes.
func TestListAsksTheKernel(t *testing.T) {
	ctx := context.Background()
	m, w := newFake(t, t.TempDir())
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); err != nil {
		t.Fatal(err)
	}
	if err := w.put("container", "web", "running"); err != nil {
		t.Fatal(err)
	}
	all, err := m.List(ctx)
	if err != nil || len(all) != 1 || all[0].Status != StatusOrphaned {
		t.Errorf("list: %+v, %v", all, err)
	}
	if err := m.Stop(ctx, "web", StopOptions{}); err != nil || w.has("container", "web") {
		t.Errorf("stop: %v, left %s", err, w)
	}
}

// A template is in use as soon as a create of a VPS uses it.
func TestDraftsUseTemplates(t *testing.T) {
	m, _ := newFake(t, t.TempDir())
	l, err := m.lock(context.Background(), "web")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	d, err := l.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	if err := d.Put(vps.VPS{Template: vps.Template{Digest: "sha256:00"}}); err != nil {
		t.Fatal(err)
	}
	used, err := m.usedTemplates()
	if err != nil || strings.Join(used["sha256:00"], " ") != "web" {
		t.Errorf("used: %v, %v", used, err)
	}
}

// An error of the undo does not change the kind of the failure.
func TestUndoneKeepsTheKind(t *testing.T) {
	plain, busy := errors.New("plain"), fail.New(fail.Busy, "busy")
	for _, c := range []struct {
		err  error
		want fail.Kind
	}{
		{undo.Failed(plain, busy), fail.Internal},
		{fmt.Errorf("x: %w", undo.Failed(plain, busy)), fail.Internal},
		{undo.Failed(busy, plain), fail.Busy},
		{undo.Failed(fail.New(fail.State, "s"), busy), fail.State},
	} {
		if got := fail.KindOf(c.err); got != c.want {
			t.Errorf("%v: kind %d, want %d", c.err, got, c.want)
		}
	}
}

// A boot that is cancelled reports each VPS, also those that it did not try to start.
func TestInTurnTellsEach(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	told := map[vps.Name]error{}
	_, err := inGroups(ctx, [][]vps.Name{{"a", "b", "c"}}, 1, func(r HostResult) { told[r.Name] = r.Err }, func(vps.Name) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || len(told) != 3 {
		t.Errorf("told %v, %v", told, err)
	}
}
