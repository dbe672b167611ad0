package runtime

import (
	"errors"
	"strings"
	"testing"

	"croft/internal/vps"
)

// A VPS with a number of CPUs gets those that the fewest running VPSs have, at each
// start and when that is set. Other changes leave them.
func TestChosenCPUs(t *testing.T) {
	m, w := newFake(t, t.TempDir())
	anyCPU := CreateOptions{Template: "busybox", Limits: vps.Limits{CPUSet: "any:1"}}
	pinned := func(want string) {
		t.Helper()
		var got []string
		for _, name := range []vps.Name{"a", "b", "c"} {
			info, err := m.Inspect(background, name)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, info.PinnedCPUs)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("they have %q, want %q", got, want)
		}
	}
	for _, name := range []vps.Name{"a", "b", "c"} {
		if _, err := m.Create(background, name, anyCPU); err != nil {
			t.Fatal(err)
		}
	}
	start := func(name vps.Name) error { return m.Start(background, name, StartOptions{}) }
	stop := func(name vps.Name) error { return m.Stop(background, name, StopOptions{Fast: true}) }
	change := func(name vps.Name, edits ...vps.Edit) error { return m.Change(background, name, edits...) }
	if err := errors.Join(start("a"), start("b")); err != nil {
		t.Fatal(err)
	}
	pinned("1 0 ") // CPU 1 has worked less
	if err := errors.Join(stop("a"), start("c"), start("a")); err != nil {
		t.Fatal(err)
	}
	pinned("1 0 1") // a does not count while it is stopped, and c does
	if err := errors.Join(stop("c"), stop("b"), change("a", vps.LimitCPUs.Set(500)), start("b"), start("c")); err != nil {
		t.Fatal(err)
	}
	pinned("1 0 1")
	if got := w.limits["a"]; !strings.Contains(got, `cpus "1"`) {
		t.Errorf("after another change: %s", got)
	}
	if err := errors.Join(change("a", vps.SetCPUSet{}), change("c", vps.SetCPUSet{List: "0-1"}), change("a", vps.SetCPUSet{List: "any:1"})); err != nil {
		t.Fatal(err)
	}
	pinned("1 0 0-1")
	// Nothing has changed after a failure.
	w.effects, w.failAt = 0, 1
	if err := change("a", vps.SetCPUSet{List: "0"}); !errors.Is(err, errWorld) {
		t.Error(err)
	}
	w.failAt = 0
	pinned("1 0 0-1")
	if got := w.limits["a"]; !strings.Contains(got, `cpus "1"`) {
		t.Errorf("after a failure: %s", got)
	}
	if err := change("a", vps.SetCPUSet{}); err != nil {
		t.Fatal(err)
	}
	pinned(" 0 0-1")
}
