package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime/paths"
)

// Each effect of each command fails once, before or after its work; for commands that
// undo everything, both. Then the command keeps its promise, and what is left is usable.
func TestFailingEffects(t *testing.T) {
	for _, c := range commands() {
		t.Run(c.name, func(t *testing.T) {
			n := 1
			for ; failsAt(t, c, n, n%2 == 0); n++ {
				if c.undone {
					failsAt(t, c, n, n%2 != 0)
				}
			}
			if n == 1 && !c.filesOnly {
				t.Error("it has no effect")
			}
		})
	}
}

// failsAt runs c while its n-th effect fails. It reports whether c has so many effects.
func failsAt(t *testing.T, c trial, n int, after bool) bool {
	t.Helper()
	f := newFaulty(t, memoryDir(t))
	if err := c.prepare(f); err != nil {
		t.Fatal(err)
	}
	before := f.snapshot()
	f.w.effects, f.w.failAt, f.w.after = 0, n, after
	err := c.do(f)
	f.w.failAt = 0
	if f.w.effects < n {
		if err != nil {
			t.Errorf("nothing failed, and it says: %v", err)
		}
		f.end()
		return false
	}
	what := fmt.Sprintf("effect %d (%s, after %v) failed", n, f.w.last, after)
	if err != nil && !errors.Is(err, errWorld) && !c.hides {
		t.Errorf("%s: it says: %v", what, err)
	}
	if got := f.snapshot(); err != nil && c.undone && got != before {
		t.Errorf("%s: it was\n%s\nand is\n%s", what, before, got)
	}
	if err != nil {
		if err := c.do(f); err != nil && !c.again(err) {
			t.Errorf("%s: again: %v", what, err)
		}
	}
	f.whole(t, what)
	return true
}

// The process with its monitors is killed at each effect of each command; the inits
// live on. Then the command can run again, which half of the tests do, and other
// commands repair what is left.
func TestDeathAtAnyEffect(t *testing.T) {
	for i, c := range commands() {
		t.Run(c.name, func(t *testing.T) {
			for n := 1; diesAt(t, i, n, n%2 == 0); n++ {
			}
		})
	}
}

func diesAt(t *testing.T, i, n int, again bool) bool {
	t.Helper()
	c := commands()[i]
	dir := memoryDir(t)
	f := newFaulty(t, dir)
	effect, died := dies(t, dir, i, n)
	if !died {
		f.end()
		return false
	}
	what := fmt.Sprintf("died at effect %d (%s)", n, effect)
	if c.partial != nil {
		if _, err := f.m.List(background); err != nil {
			t.Errorf("%s: list: %v", what, err)
		}
		if wrong := c.partial(f); wrong != "" {
			t.Errorf("%s: %s", what, wrong)
		}
	}
	if again {
		if err := c.do(f); err != nil && !c.again(err) {
			t.Errorf("%s: again: %v", what, err)
		}
	}
	f.whole(t, what)
	return true
}

// If a destroy is killed after it has moved the directory of the VPS, the name can still
// be used.
func TestDestroyCutShortAfterTheMove(t *testing.T) {
	ctx := context.Background()
	m, _ := newFake(t, t.TempDir())
	for _, name := range []string{"web", "db"} {
		if _, err := m.Create(ctx, vps.Name(name), CreateOptions{Template: "t"}); err != nil {
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

// A VPS that has lost its claims or its network can be destroyed.
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
			err = m.networkTables().Release(ctx, vps.VPS{Name: "web", Interfaces: []vps.Interface{{Name: "eth0", Network: DefaultNetwork}}})
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
		if paths.Exists(m.store.VPSDir("web")) || w.String() != "" {
			t.Errorf("%s: left %s", how, w)
		}
	}
}

// While a VPS has processes neither destroy nor a create of its name removes its files,
// whatever the files say.
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

// A VPS does not stay frozen if the template create that froze it is killed.
func TestKilledTemplateCreateLetsGoOn(t *testing.T) {
	i := slices.IndexFunc(commands(), func(c trial) bool { return c.name == "template create" })
	for n := 1; ; n++ {
		dir := memoryDir(t)
		f := newFaulty(t, dir)
		if _, died := dies(t, dir, i, n); !died {
			if n < 3 {
				t.Errorf("it has %d effects only", n-1)
			}
			break
		}
		if _, err := f.m.Inspect(context.Background(), "web"); err != nil {
			t.Fatal(err)
		}
		if frozen, err := f.m.containers.Frozen("web"); frozen || err != nil {
			t.Errorf("died at effect %d: it stands still (%v)", n, err)
		}
	}
}

func onlyOwner(t *testing.T, m *Manager, name vps.Name) {
	t.Helper()
	table, err := m.networkTables().Get(DefaultNetwork)
	if err != nil {
		t.Fatal(err)
	}
	if len(table.Claims) != 1 || table.Claims[0].Owner != name {
		t.Errorf("the network is claimed by %+v", table.Claims)
	}
}

// dies runs the i-th command in a child process that ends at its n-th effect.
// It returns that effect, and whether the command has so many effects.
func dies(t *testing.T, dir string, i, n int) (effect string, died bool) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestDyingChild$")
	child.Env = append(os.Environ(), "CROFT_TEST_DIE="+dir, "CROFT_TEST_COMMAND="+strconv.Itoa(i), "CROFT_TEST_EFFECT="+strconv.Itoa(n))
	var errs strings.Builder
	child.Stderr = &errs
	out, err := child.Output()
	if err == nil {
		return "", false
	}
	if code := child.ProcessState.ExitCode(); code != 99 {
		t.Fatalf("the child of command %d, effect %d: %v\n%s%s", i, n, err, out, errs.String())
	}
	return strings.TrimSpace(string(out)), true
}

// TestDyingChild is the child process of dies.
func TestDyingChild(t *testing.T) {
	dir := os.Getenv("CROFT_TEST_DIE")
	if dir == "" {
		return
	}
	i, _ := strconv.Atoi(os.Getenv("CROFT_TEST_COMMAND"))
	n, _ := strconv.Atoi(os.Getenv("CROFT_TEST_EFFECT"))
	c := commands()[i]
	f := newFaulty(t, dir)
	if err := c.prepare(f); err != nil {
		t.Fatal(err)
	}
	f.w.effects, f.w.dieAt = 0, n
	if err := c.do(f); err != nil {
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
		name vps.Name
		o    CreateOptions
		kind fail.Kind
	}{
		"a taken name":       {"web", CreateOptions{Template: "t"}, fail.Taken},
		"a bad name":         {"Web_1", CreateOptions{Template: "t"}, fail.Usage},
		"no template":        {"a", CreateOptions{}, fail.Usage},
		"an absent template": {"a", CreateOptions{Template: "absent"}, fail.NotFound},
		"an absent network":  {"a", CreateOptions{Template: "t", Networks: onNetworks("lan")}, fail.NotFound},
		"odd ids":            {"a", CreateOptions{Template: "t", IDSize: 1000}, fail.Usage},
		"a host's sysctl":    {"a", CreateOptions{Template: "t", Sysctls: map[string]string{"vm.swappiness": "1"}}, fail.Usage},
	} {
		if _, err := m.Create(ctx, vps.Name(c.name), c.o); fail.KindOf(err) != c.kind || err == nil {
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

// The next command deletes what a killed destroy left in the trash.
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
		if paths.Exists(old) {
			t.Errorf("%s left the trash", name)
		}
	}
}
