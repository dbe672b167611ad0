package runtime

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/state"
)

// command is one command of a Manager, and what comes before it.
type command struct {
	name  string
	ready func(*Manager) error // nil: on an empty machine
	do    func(*Manager) error
}

func commands() []command {
	ctx := context.Background()
	create := func(m *Manager) error {
		_, err := m.Create(ctx, "web", CreateOptions{Template: "t", Published: []Publication{{Protocol: "tcp", Ports: "8080", To: "80"}}})
		return err
	}
	start := func(m *Manager) error { return m.Start(ctx, "web", StartOptions{}) }
	both := func(m *Manager) error { return errors.Join(create(m), start(m)) }
	return []command{
		{"create", nil, create},
		{"start", create, start},
		{"stop", both, func(m *Manager) error { return m.Stop(ctx, "web", StopOptions{Fast: true}) }},
		{"publish", both, func(m *Manager) error {
			return m.Publish(ctx, "web", []Publication{{Protocol: "udp", Ports: "53", To: "53"}})
		}},
		{"publish remove", both, func(m *Manager) error { return m.UnpublishAll(ctx, "web") }},
		{"template create", both, func(m *Manager) error {
			_, err := m.CreateTemplate(ctx, "t2", "web", TemplateCreate{})
			return err
		}},
		{"rename", create, func(m *Manager) error { return m.Rename(ctx, "web", "db") }},
		{"destroy", create, func(m *Manager) error { return m.Destroy(ctx, "web", DestroyOptions{}) }},
		{"destroy --force", both, func(m *Manager) error { return m.Destroy(ctx, "web", DestroyOptions{Force: true}) }},
	}
}

// Each effect of create and start fails once, before and after it has done its
// work; each time the world and croft's files are as they were before.
func TestFailingEffectIsUndone(t *testing.T) {
	for _, c := range commands()[:2] {
		for _, after := range []bool{false, true} {
			for n := 1; ; n++ {
				dir := t.TempDir()
				m, w := newFake(t, dir)
				if c.ready != nil {
					if err := c.ready(m); err != nil {
						t.Fatal(err)
					}
				}
				before := w.String()
				w.effects, w.failAt, w.after = 0, n, after
				err := c.do(m)
				if err == nil && w.effects < n {
					break // it has fewer effects than that
				}
				if err == nil {
					continue // what failed did not matter
				}
				if !errors.Is(err, errWorld) {
					t.Fatalf("%s, effect %d: %v", c.name, n, err)
				}
				if got := w.String(); got != before {
					t.Errorf("%s, effect %d (after %v) failed: the world was\n%s\nand is\n%s", c.name, n, after, before, got)
				}
				if err := retry(m, w, c); err != nil {
					t.Errorf("%s again, after effect %d failed: %v", c.name, n, err)
				}
			}
		}
	}
}

// Each effect of destroy fails once, before and after it has done its work.
// Then the VPS is gone, or it is there with all that it has: it starts, and it
// can be destroyed.
func TestFailingDestroyLeavesAVPS(t *testing.T) {
	ctx := context.Background()
	for _, c := range commands() {
		if !strings.HasPrefix(c.name, "destroy") {
			continue
		}
		for _, after := range []bool{false, true} {
			for n := 1; ; n++ {
				m, w := newFake(t, t.TempDir())
				if err := c.ready(m); err != nil {
					t.Fatal(err)
				}
				w.effects, w.failAt, w.after = 0, n, after
				err := c.do(m)
				if err == nil && w.effects < n {
					break
				}
				w.failAt = 0
				_, gone := m.store.Get("web")
				if !fail.Is(gone, fail.NotFound) {
					if err == nil {
						t.Errorf("%s, effect %d failed: no error, and the VPS is still there", c.name, n)
					}
					if err := m.Start(ctx, "web", StartOptions{}); err != nil && !fail.Is(err, fail.State) {
						t.Errorf("%s, effect %d failed: start: %v", c.name, n, err)
					}
				}
				if err := m.Destroy(ctx, "web", DestroyOptions{Force: true, IfExists: true}); err != nil {
					t.Errorf("%s, effect %d failed: destroy: %v", c.name, n, err)
				}
				if got := w.String(); got != "" {
					t.Errorf("%s, effect %d failed: left\n%s", c.name, n, got)
				}
			}
		}
	}
}

// A destroy that was killed once the directory of the VPS was moved leaves no
// name behind that nothing can be done with.
func TestDestroyCutShortAfterTheMove(t *testing.T) {
	ctx := context.Background()
	m, _ := newFake(t, t.TempDir())
	for _, name := range []string{"web", "db"} {
		if _, err := m.Create(ctx, name, CreateOptions{Template: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	l, err := m.lock(ctx, "web")
	if err != nil {
		t.Fatal(err)
	}
	err = l.Trash()
	l.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Destroy(ctx, "web", DestroyOptions{}); !fail.Is(err, fail.NotFound) {
		t.Errorf("destroy again: %v", err)
	}
	onlyOwner(t, m, "db")
	if entries, err := os.ReadDir(m.store.TrashDir()); err != nil || len(entries) > 0 {
		t.Errorf("the trash still has %v, %v", entries, err)
	}
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); err != nil {
		t.Errorf("create again: %v", err)
	}
}

// A VPS whose claims or network are gone can still be destroyed.
func TestDestroyWithoutClaims(t *testing.T) {
	ctx := context.Background()
	for _, how := range []string{"no claim", "no table", "a corrupt table"} {
		m, w := newFake(t, t.TempDir())
		if _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); err != nil {
			t.Fatal(err)
		}
		var err error
		table := m.store.NetworkFile(DefaultNetwork)
		switch how {
		case "no claim":
			err = m.releaseAddresses(ctx, state.VPS{Name: "web", Interfaces: []state.Interface{{Name: "eth0", Network: DefaultNetwork}}})
		case "no table":
			err = os.Remove(table)
		default:
			err = os.WriteFile(table, []byte("{"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Destroy(ctx, "web", DestroyOptions{}); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		if exists(m.store.VPSDir("web")) || w.String() != "" {
			t.Errorf("%s: left %s", how, w)
		}
	}
}

// While the kernel has a process of a VPS, its files are not removed, whatever
// the files say: not by destroy, and not by a create of the name.
func TestDestroyAsksTheKernel(t *testing.T) {
	ctx := context.Background()
	for _, lost := range []string{"its run directory", "its own directory"} {
		dir := t.TempDir()
		m, w := newFake(t, dir)
		if _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); err != nil {
			t.Fatal(err)
		}
		if err := w.put("container", "web", "running"); err != nil {
			t.Fatal(err)
		}
		if lost == "its own directory" {
			if err := os.RemoveAll(m.store.VPSDir("web")); err != nil {
				t.Fatal(err)
			}
			if _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); !fail.Is(err, fail.State) {
				t.Errorf("%s lost: create: %v", lost, err)
			}
		}
		if err := m.Destroy(ctx, "web", DestroyOptions{IfExists: true}); !fail.Is(err, fail.State) {
			t.Errorf("%s lost: destroy: %v", lost, err)
		}
		if err := m.Destroy(ctx, "web", DestroyOptions{Force: true, IfExists: true}); err != nil {
			t.Errorf("%s lost: destroy --force: %v", lost, err)
		}
		if w.String() != "" {
			t.Errorf("%s lost: left %s", lost, w)
		}
	}
}

// A command that failed can be run again.
func retry(m *Manager, w *world, c command) error {
	w.failAt = 0
	return c.do(m)
}

// The process dies at each effect of each command; afterwards destroy leaves
// nothing, and the address is free again.
func TestDeathAtAnyEffectIsRecoverable(t *testing.T) {
	for i, c := range commands() {
		for n := 1; ; n++ {
			dir := t.TempDir()
			if !dies(t, dir, i, n) {
				break
			}
			m, w := newFake(t, dir)
			// The mounts were in the dead process's namespace.
			var err error
			for _, name := range []string{"web", "db"} {
				if err := w.drop("mount", name); err != nil {
					t.Fatal(err)
				}
				e := m.Destroy(context.Background(), name, DestroyOptions{Force: true, IfExists: true})
				err = errors.Join(err, e)
			}
			if err != nil {
				t.Errorf("%s died at effect %d: destroy: %v", c.name, n, err)
				continue
			}
			if got := w.String(); got != "" {
				t.Errorf("%s died at effect %d: destroy left\n%s", c.name, n, got)
			}
			if _, err := m.Create(context.Background(), "web", CreateOptions{Template: "t"}); err != nil {
				t.Errorf("%s died at effect %d: create again: %v", c.name, n, err)
			}
			onlyOwner(t, m, "web")
		}
	}
}

// A template create that is killed while the VPS stands still does not leave it so.
func TestKilledTemplateCreateLetsGoOn(t *testing.T) {
	for i, c := range commands() {
		if c.name != "template create" {
			continue
		}
		for n := 1; ; n++ {
			dir := t.TempDir()
			if !dies(t, dir, i, n) {
				if n < 3 {
					t.Errorf("it has %d effects only", n-1)
				}
				break
			}
			m, _ := newFake(t, dir)
			if _, err := m.Inspect(context.Background(), "web"); err != nil {
				t.Fatal(err)
			}
			if frozen, err := m.containers.Frozen("web"); frozen || err != nil {
				t.Errorf("died at effect %d: it stands still (%v)", n, err)
			}
		}
	}
}

func onlyOwner(t *testing.T, m *Manager, name string) {
	t.Helper()
	table, err := m.table(DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	if len(table.Claims) != 1 || table.Claims[0].Owner != name {
		t.Errorf("the network is claimed by %+v", table.Claims)
	}
}

// dies runs the i-th command in a child process that ends at its n-th effect,
// and reports whether it came that far.
func dies(t *testing.T, dir string, i, n int) bool {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestDyingChild$")
	child.Env = append(os.Environ(), "CROFT_TEST_DIE="+dir, "CROFT_TEST_COMMAND="+strconv.Itoa(i), "CROFT_TEST_EFFECT="+strconv.Itoa(n))
	out, err := child.CombinedOutput()
	if err == nil {
		return false
	}
	if code := child.ProcessState.ExitCode(); code != 99 {
		t.Fatalf("the child of command %d, effect %d: %v\n%s", i, n, err, out)
	}
	return true
}

// TestDyingChild is the child of dies; without one it has nothing to do.
func TestDyingChild(t *testing.T) {
	dir := os.Getenv("CROFT_TEST_DIE")
	if dir == "" {
		return
	}
	i, _ := strconv.Atoi(os.Getenv("CROFT_TEST_COMMAND"))
	n, _ := strconv.Atoi(os.Getenv("CROFT_TEST_EFFECT"))
	c := commands()[i]
	m, w := newFake(t, dir)
	if c.ready != nil {
		if err := c.ready(m); err != nil {
			t.Fatal(err)
		}
	}
	w.effects, w.dieAt = 0, n
	if err := c.do(m); err != nil {
		t.Fatal(err)
	}
}

func TestCreateRefuses(t *testing.T) {
	ctx := context.Background()
	m, w := newFake(t, t.TempDir())
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		name string
		o    CreateOptions
		kind fail.Kind
	}{
		"a taken name":       {"web", CreateOptions{Template: "t"}, fail.Taken},
		"a bad name":         {"Web_1", CreateOptions{Template: "t"}, fail.Usage},
		"no template":        {"a", CreateOptions{}, fail.Usage},
		"an absent template": {"a", CreateOptions{Template: "absent"}, fail.NotFound},
		"an absent network":  {"a", CreateOptions{Template: "t", Networks: []string{"lan"}}, fail.NotFound},
		"odd ids":            {"a", CreateOptions{Template: "t", IDSize: 1000}, fail.Usage},
		"a host's sysctl":    {"a", CreateOptions{Template: "t", Sysctls: map[string]string{"vm.swappiness": "1"}}, fail.Usage},
	} {
		if _, err := m.Create(ctx, c.name, c.o); fail.KindOf(err) != c.kind || err == nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "t", IfMissing: true}); err != nil {
		t.Errorf("--if-missing: %v", err)
	}
	if w.String() != "" {
		t.Errorf("the world has\n%s", w)
	}
}

// What a killed destroy left in the trash goes with the next command that has
// the time.
func TestTrashIsEmptiedByOthers(t *testing.T) {
	ctx := context.Background()
	for name, do := range map[string]func(*Manager) error{
		"create":              func(m *Manager) error { _, err := m.Create(ctx, "b", CreateOptions{Template: "t"}); return err },
		"destroy --if-exists": func(m *Manager) error { return m.Destroy(ctx, "b", DestroyOptions{IfExists: true}) },
		"template prune":      func(m *Manager) error { return m.PruneTemplates(ctx) },
		"host boot": func(m *Manager) error {
			_, err := m.BootHost(ctx, StartOptions{}, func(HostResult) {})
			return err
		},
	} {
		m, _ := newFake(t, t.TempDir())
		old := filepath.Join(m.store.TrashDir(), "web.000000000000")
		if err := errors.Join(os.Mkdir(old, 0o700), os.WriteFile(filepath.Join(old, "f"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := do(m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if exists(old) {
			t.Errorf("%s left the trash", name)
		}
	}
}
