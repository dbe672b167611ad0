package runtime

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"croft/internal/fail"
	"croft/network"
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
			for _, name := range []string{"web"} {
				if err := w.drop("mount", name); err != nil {
					t.Fatal(err)
				}
			}
			err := m.Destroy(context.Background(), "web", DestroyOptions{Force: true, IfExists: true})
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

func onlyOwner(t *testing.T, m *Manager, name string) {
	t.Helper()
	data, err := m.store.Network(DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	table, err := network.Decode(data)
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
