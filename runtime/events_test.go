package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"croft/internal/vps"
)

// told returns the events of a Manager, with some of their attributes.
func told(t *testing.T, m *Manager) []string {
	t.Helper()
	var all []string
	err := m.Events(background, false, func(e Event) error {
		text := e.Event
		for _, key := range []string{"reason", "requested", "address", "interface", "changes", "from", "count", "limit"} {
			if value := e.Attributes[key]; value != "" {
				text += " " + value
			}
		}
		if !strings.HasPrefix(string(e.Name), "web") && e.Name != "db" || e.UUID == "" {
			t.Errorf("it is about %q, %q", e.Name, e.UUID)
		}
		if e.Event == "created" && (e.Attributes["template"] != "t" || e.Attributes["addresses"] == "") {
			t.Errorf("created: %v", e.Attributes)
		}
		all = append(all, text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A life of a VPS, as events.
func TestEvents(t *testing.T) {
	f := newFaulty(t, memoryDir(t))
	at := []string{}
	step := func(want string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		all := told(t, f.m)
		if got := strings.Join(all[len(at):], ", "); got != want {
			t.Errorf("%s, and not %s", got, want)
		}
		at = all
	}
	ends := func(status uint32) error { return (fakeMonitors{f.w, f.m}).ends(background, "web", status) }
	step("created", createWeb(f))
	step("started", startWeb(f))
	a, err := anotherAddress(f, 0)
	if err != nil {
		t.Fatal(err)
	}
	step("changed memory 67108864; env TOKEN; add address "+a.String()+", address-added "+a.String()+" eth0",
		changeWeb(vps.LimitMemory.Set(64<<20), vps.SetEnv{Text: "TOKEN=secret"}, vps.AddAddress{Address: a})(f))
	step("changed remove address "+a.String()+", address-removed "+a.String()+" eth0", changeWeb(vps.RemoveAddress{Address: a})(f))
	step("paused", pauseWeb(f))
	step("", pauseWeb(f))
	step("resumed", f.m.Resume(background, "web"))
	step("changed restart always", changeWeb(restartsAlways)(f))
	step("stopped killed, restarted 1", ends(crashed))
	step("stopped rebooted, rebooted", ends(1))
	err = loseMonitor(f)
	_, e := f.m.Inspect(background, "web")
	step("adopted", errors.Join(err, e))
	step("stopped killed yes", errors.Join(requestStop(f.m.store, "web"), ends(crashed)))
	step("renamed web", f.m.Rename(background, "web", "db"))
	step("destroyed", f.m.Destroy(background, "db", DestroyOptions{Keep: time.Hour}))
	_, err = f.m.Restore(background, TrashChoice{Name: "db"}, "web", RestoreOptions{})
	step("restored db", err)
	step("destroyed", f.m.Destroy(background, "web", DestroyOptions{}))
}

// A log that cannot be written is a warning, and the command does its work.
func TestEventsOnAFullDisk(t *testing.T) {
	f := newFaulty(t, memoryDir(t))
	if err := os.WriteFile(f.m.store.EventsDir(), nil, 0o600); err != nil { // not a directory
		t.Fatal(err)
	}
	var warned []string
	f.m.warn = func(w string) { warned = append(warned, w) }
	if err := errors.Join(createWeb(f), startWeb(f), f.m.Stop(background, "web", StopOptions{Fast: true})); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(warned, func(w string) bool {
		return strings.HasPrefix(w, "web: croft events does not show that it was created: ")
	}) {
		t.Errorf("%q", warned)
	}
}

// A failed start is an event.
func TestEventOfAFailedStart(t *testing.T) {
	f := newFaulty(t, memoryDir(t))
	if err := createWeb(f); err != nil {
		t.Fatal(err)
	}
	f.w.effects, f.w.failAt = 0, 3
	err := startWeb(f)
	f.w.failAt = 0
	if !errors.Is(err, errWorld) {
		t.Fatal(err)
	}
	if all := told(t, f.m); fmt.Sprint(all) != "[created failed]" {
		t.Errorf("%v", all)
	}
}

// To follow, a log need not exist yet.
func TestFollowEvents(t *testing.T) {
	f := newFaulty(t, memoryDir(t))
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	got, ended := make(chan Event, 9), make(chan error, 1)
	go func() { ended <- f.m.Events(ctx, true, func(e Event) error { got <- e; return nil }) }()
	if err := createWeb(f); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-got:
		if e.Event != "created" || e.Name != "web" {
			t.Errorf("%+v", e)
		}
	case err := <-ended:
		t.Fatalf("it has ended: %v", err)
	case <-time.After(2 * time.Minute):
		t.Fatal("there is no event")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// The addresses of an interface that is added and removed are events too.
func TestEventsOfInterfaces(t *testing.T) {
	f := newFaulty(t, memoryDir(t))
	if err := errors.Join(createWeb(f), createLAN(f)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		edit vps.Edit
		want string
	}{
		{vps.AddInterface{Network: "lan"}, "address-added"}, {vps.RemoveInterface{Name: "lan"}, "address-removed"},
	} {
		before := len(told(t, f.m))
		if err := changeWeb(c.edit)(f); err != nil {
			t.Fatal(err)
		}
		all := told(t, f.m)[before:]
		if len(all) < 2 || !strings.HasPrefix(all[0], "changed") {
			t.Fatalf("%q", all)
		}
		for _, text := range all[1:] {
			if !strings.HasPrefix(text, c.want+" ") || !strings.HasSuffix(text, " eth1") {
				t.Errorf("%q", text)
			}
		}
	}
}
