package runtime

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/paths"
)

func renamable(t *testing.T) (*Manager, *world) {
	t.Helper()
	ctx := context.Background()
	m, w := newFake(t, t.TempDir())
	for name, o := range map[string]CreateOptions{
		"web": {Template: "t", Published: []vps.Publication{{Protocol: "tcp", Ports: "8080", To: "80"}}},
		"db":  {Template: "t", Hostname: "db.example"},
	} {
		if _, err := m.Create(ctx, vps.Name(name), o); err != nil {
			t.Fatal(err)
		}
	}
	return m, w
}

func inspected(t *testing.T, m *Manager, name vps.Name) Info {
	t.Helper()
	info, err := m.Inspect(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// isRenamed checks that www has everything that web had, and that there is no web.
func isRenamed(t *testing.T, m *Manager, web Info) {
	t.Helper()
	www := inspected(t, m, "www")
	if !reflect.DeepEqual(www.Interfaces[0].Addresses, web.Interfaces[0].Addresses) || www.Interfaces[0].MAC != web.Interfaces[0].MAC {
		t.Errorf("it had %+v and has %+v", web.Interfaces, www.Interfaces)
	}
	if www.UUID != web.UUID || www.IDs != web.IDs || !reflect.DeepEqual(www.Published, web.Published) {
		t.Errorf("it was %+v and is %+v", web, www)
	}
	if _, err := m.Inspect(context.Background(), "web"); !fail.Is(err, fail.NotFound) {
		t.Errorf("the old one: %v", err)
	}
}

// isWhole checks that the rename is complete.
func isWhole(t *testing.T, m *Manager, name vps.Name) {
	t.Helper()
	v, err := m.store.Get(name)
	if err != nil || v.Name != name || v.RenamedFrom != "" {
		t.Errorf("%s: %+v, %v", name, v, err)
	}
	for _, table := range m.networkTables().All() {
		for _, c := range table.Claims {
			if !paths.Exists(m.store.VPSDir(c.Owner)) {
				t.Errorf("%s has %v, and is not there", c.Owner, c.Addresses)
			}
		}
	}
	if entries, err := os.ReadDir(m.store.RunDir("web")); err == nil {
		t.Errorf("of its runs by the old name there are %v", entries)
	}
}

func TestRename(t *testing.T) {
	ctx := context.Background()
	m, w := renamable(t)
	for _, name := range []string{"db", "web"} {
		if err := m.Start(ctx, vps.Name(name), StartOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Rename(ctx, "web", "www"); !fail.Is(err, fail.State) || fail.HintOf(err) != "croft list web" {
		t.Errorf("of a running one: %v", err)
	}
	if err := m.Stop(ctx, "web", StopOptions{Fast: true}); err != nil {
		t.Fatal(err)
	}
	web := inspected(t, m, "web")
	if err := m.Rename(ctx, "web", "www"); err != nil {
		t.Fatal(err)
	}
	isRenamed(t, m, web)
	isWhole(t, m, "www")
	www := inspected(t, m, "www")
	if www.Hostname != "www" || www.Boot != 1 {
		t.Errorf("it is %+v", www)
	}
	var told []string
	for _, h := range w.toldOf(inspected(t, m, "db").IDs.First) {
		told = append(told, h.Name)
	}
	if strings.Join(told, " ") != "db www" {
		t.Errorf("db knows %v", told)
	}
	if err := m.Start(ctx, "www", StartOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := w.String(); !strings.Contains(got, "published www") || strings.Contains(got, " web") {
		t.Errorf("the world is\n%s", got)
	}
	if err := m.Stop(ctx, "db", StopOptions{Fast: true}); err != nil {
		t.Fatal(err)
	}
	if err := m.Rename(ctx, "db", "web"); err != nil { // a name that is free again
		t.Fatal(err)
	}
	if info := inspected(t, m, "web"); info.Hostname != "db.example" {
		t.Errorf("a hostname that was given became %s", info.Hostname)
	}
}

func TestRenameRefuses(t *testing.T) {
	ctx := context.Background()
	m, _ := renamable(t)
	before := files(t, m.store.Root)
	for _, c := range []struct {
		old, new vps.Name
		kind     fail.Kind
	}{
		{"web", "db", fail.Taken}, {"none", "www", fail.NotFound},
	} {
		if err := m.Rename(ctx, c.old, c.new); !fail.Is(err, c.kind) {
			t.Errorf("%s to %q: %v", c.old, c.new, err)
		}
	}
	if err := m.Rename(ctx, "web", "web"); err != nil {
		t.Errorf("to its own name: %v", err)
	}
	called, cancel := context.WithCancel(ctx)
	cancel()
	if err := m.Rename(called, "web", "www"); err == nil {
		t.Error("called off: it goes on")
	}
	if _, err := m.Mount(ctx, "web"); err != nil {
		t.Fatal(err)
	}
	if err := m.Rename(ctx, "web", "www"); !fail.Is(err, fail.State) || fail.HintOf(err) != "croft umount web" {
		t.Errorf("of a mounted one: %v", err)
	}
	if err := m.Umount(ctx, "web"); err != nil {
		t.Fatal(err)
	}
	isWhole(t, m, "web")
	if got := strings.ReplaceAll(files(t, m.store.Root), "vps/web/bundle/config.json\n", ""); got != before {
		t.Errorf("there were\n%s\nand are\n%s", before, got)
	}
}

// If a rename is killed at any effect the VPS has one of both names, and the next command
// loses nothing.
func TestRenameCutShort(t *testing.T) {
	ctx := context.Background()
	locks := func(t *testing.T, m *Manager) (l, to *state.Locked) {
		l, err := m.lock(ctx, "web")
		if err != nil {
			t.Fatal(err)
		}
		if to, err = m.lock(ctx, "www"); err != nil {
			t.Fatal(err)
		}
		return l, to
	}
	cuts := map[string]func(t *testing.T, m *Manager){
		"its directory has the new name": func(*testing.T, *Manager) {},
		"the tables know it too": func(t *testing.T, m *Manager) {
			if err := m.networkTables().RenameOwner(ctx, DefaultNetwork, "web", "www"); err != nil {
				t.Fatal(err)
			}
		},
		"its runs are moved": func(t *testing.T, m *Manager) {
			if err := m.networkTables().RenameOwner(ctx, DefaultNetwork, "web", "www"); err != nil {
				t.Fatal(err)
			}
			if err := m.store.MoveRun("web", "www"); err != nil {
				t.Fatal(err)
			}
		},
	}
	nexts := map[string]func(*Manager) error{
		"start": func(m *Manager) error { return m.Start(ctx, "www", StartOptions{}) },
		"another of its old name": func(m *Manager) error {
			_, err := m.Create(ctx, "web", CreateOptions{Template: "t"})
			return err
		},
		"others come": func(m *Manager) error {
			_, err := m.Create(ctx, "other", CreateOptions{Template: "t"})
			if err == nil {
				err = m.Stop(ctx, "www", StopOptions{})
			}
			return err
		},
		"a rename back": func(m *Manager) error {
			if err := m.Rename(ctx, "www", "web"); err != nil {
				return err
			}
			return m.Rename(ctx, "web", "www")
		},
	}
	for cut, upTo := range cuts {
		for next, do := range nexts {
			t.Run(cut+", "+next, func(t *testing.T) {
				m, _ := renamable(t)
				web := inspected(t, m, "web")
				l, to := locks(t, m)
				v, err := l.VPS()
				if err != nil {
					t.Fatal(err)
				}
				if err := m.moveFiles(ctx, l, to, v); err != nil {
					t.Fatal(err)
				}
				upTo(t, m)
				l.Unlock()
				to.Unlock()
				isRenamed(t, m, web)
				if err := do(m); err != nil {
					t.Fatal(err)
				}
				if next != "another of its old name" {
					isRenamed(t, m, web)
				} else if other := inspected(t, m, "web"); other.Interfaces[0].MAC == web.Interfaces[0].MAC ||
					other.Interfaces[0].Addresses[0] == web.Interfaces[0].Addresses[0] {
					t.Errorf("another has what it had: %+v", other.Interfaces)
				}
				isWhole(t, m, "www")
			})
		}
		t.Run(cut+", destroy", func(t *testing.T) {
			m, w := renamable(t)
			l, to := locks(t, m)
			v, err := l.VPS()
			if err == nil {
				err = m.moveFiles(ctx, l, to, v)
			}
			if err != nil {
				t.Fatal(err)
			}
			upTo(t, m)
			l.Unlock()
			to.Unlock()
			if err := m.Destroy(ctx, "www", DestroyOptions{}); err != nil {
				t.Fatal(err)
			}
			onlyOwner(t, m, "db")
			if got := w.String(); got != "" {
				t.Errorf("left is\n%s", got)
			}
		})
	}
}

// Two renames to each other's names do not wait for each other forever.
func TestRenamesCrosswise(t *testing.T) {
	ctx := context.Background()
	m, _ := renamable(t)
	m.lockWait = 20 * time.Second
	for range 20 {
		var both sync.WaitGroup
		for _, names := range [][2]string{{"web", "db"}, {"db", "web"}} {
			both.Go(func() {
				if err := m.Rename(ctx, vps.Name(names[0]), vps.Name(names[1])); !fail.Is(err, fail.Taken) {
					t.Errorf("%s to %s: %v", names[0], names[1], err)
				}
			})
		}
		both.Wait()
		if t.Failed() {
			return
		}
	}
}

// A killed rename leaves a note, before or after the VPS has its new name. The next
// command that creates or destroys a VPS of the old name removes it.
func TestNoteOfAKilledRename(t *testing.T) {
	ctx := context.Background()
	for what, next := range map[string]func(m *Manager) error{
		"destroy it":     func(m *Manager) error { return m.Destroy(ctx, "old", DestroyOptions{}) },
		"destroy absent": func(m *Manager) error { return m.Destroy(ctx, "gone", DestroyOptions{IfExists: true}) },
		"create": func(m *Manager) error {
			_, err := m.Create(ctx, "gone", CreateOptions{Template: "t"})
			return err
		},
		"rename": func(m *Manager) error { return m.Rename(ctx, "old", "gone") },
	} {
		m, _ := newFake(t, t.TempDir())
		if _, err := m.Create(ctx, "old", CreateOptions{Template: "t"}); err != nil {
			t.Fatal(err)
		}
		note := func(name vps.Name) string {
			return filepath.Join(filepath.Dir(m.store.VPSDir(name)), "."+string(name)+".renamed")
		}
		name := "gone"
		if what == "destroy it" {
			name = "old"
		}
		if err := os.WriteFile(note(vps.Name(name)), []byte("new\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := next(m); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if paths.Exists(note(vps.Name(name))) {
			t.Errorf("%s: the note of %s is still there", what, name)
		}
	}
}
