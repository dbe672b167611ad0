package runtime

import (
	"context"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/vps"
)

// Limits of a running VPS change at once, all of them or none, and each is named,
// also where there is none.
func TestChangeLimits(t *testing.T) {
	m, w, _ := changing(t)
	ctx := context.Background()
	change := func(edits ...vps.Edit) error { return m.Change(ctx, "web", edits...) }
	if err := change(vps.LimitMemory.Set(64<<20), vps.LimitSwap.Set(-1), vps.LimitCPUs.Set(1500), vps.LimitPIDs.Set(77)); err != nil {
		t.Fatal(err)
	}
	const limited = "memory 67108864 swap 67108864 low -1 quota 150000 shares 1024 cpus \"\" pids 77 io 100, 0 limits"
	if got := w.limits["web"]; got != limited {
		t.Errorf("limits: %s", got)
	}
	w.failAt = w.effects + 1
	if err := change(vps.LimitMemory.Set(32 << 20)); err == nil {
		t.Error("it did not fail")
	}
	w.failAt = 0
	if got := w.limits["web"]; got != limited {
		t.Errorf("after a failure: %s", got)
	}
	if v, err := m.store.Get("web"); err != nil || v.Limits.Memory != 64<<20 {
		t.Errorf("saved: %+v, %v", v.Limits, err)
	}
	if err := change(vps.LimitMemory.Set(-1), vps.LimitSwap.Set(0), vps.LimitCPUs.Set(0), vps.LimitPIDs.Set(-1)); err != nil {
		t.Fatal(err)
	}
	if got := w.limits["web"]; got != "memory -1 swap -1 low -1 quota -1 shares 1024 cpus \"\" pids -1 io 100, 0 limits" {
		t.Errorf("without limits: %s", got)
	}
}

// The other limits change with them. What the host does not have is refused when it
// is set.
func TestChangeResources(t *testing.T) {
	m, w, _ := changing(t)
	var warned []string
	m.warn = func(text string) { warned = append(warned, text) }
	ctx := context.Background()
	change := func(edits ...vps.Edit) error { return m.Change(ctx, "web", edits...) }
	if err := change(vps.LimitMemoryLow.Set(32<<20), vps.LimitCPUWeight.Set(200), vps.SetCPUSet{List: "1"}, vps.LimitIOWeight.Set(1000),
		vps.SetIO{Limits: []vps.IOLimit{{Bytes: 1 << 20}}}, vps.SetIO{Write: true, Limits: []vps.IOLimit{{Operations: 100}}}); err != nil {
		t.Fatal(err)
	}
	if got := w.limits["web"]; !strings.Contains(got, "low 33554432 quota -1 shares 2451 cpus \"1\"") || !strings.HasSuffix(got, "io 181, 2 limits") {
		t.Errorf("limits: %s", got)
	}
	if len(warned) != 0 {
		t.Errorf("warnings: %q", warned)
	}
	before := w.limits["web"]
	for _, e := range []vps.Edit{vps.SetCPUSet{List: "1-2"}, vps.SetIO{Limits: []vps.IOLimit{{Device: "/dev/none", Bytes: 1 << 20}}}} {
		if err := change(e); !fail.Is(err, fail.Usage) || w.limits["web"] != before {
			t.Errorf("%s: %v, %s", e, err, w.limits["web"])
		}
	}
	if err := change(vps.LimitMemoryLow.Set(0), vps.LimitCPUWeight.Set(0), vps.SetCPUSet{}, vps.LimitIOWeight.Set(0), vps.SetIO{}, vps.SetIO{Write: true}); err != nil {
		t.Fatal(err)
	}
	if got := w.limits["web"]; !strings.Contains(got, "low -1 quota -1 shares 1024 cpus \"\"") || !strings.HasSuffix(got, "io 100, 0 limits") {
		t.Errorf("without limits: %s", got)
	}
	if err := change(vps.LimitCPUWeight.Set(7)); err != nil {
		t.Fatal(err)
	}
	// A limit that was set on another host stays, and may end.
	before = w.limits["web"]
	m.capacity = func() bundles.Capacity { return bundles.Capacity{Memory: 1 << 30, LimitMemory: true} }
	for _, e := range []vps.Edit{vps.LimitCPUWeight.Set(8), vps.AtRestart{Edit: vps.SetIO{Limits: []vps.IOLimit{{Bytes: 1 << 20}}}}} {
		if err := change(e); !fail.Is(err, fail.Host) || w.limits["web"] != before {
			t.Errorf("%s: %v, %s", e, err, w.limits["web"])
		}
	}
	m.containers = limitless{m.containers}
	if err := change(vps.LimitPIDs.Set(78)); err != nil {
		t.Error(err)
	}
	if err := change(vps.LimitCPUWeight.Set(0)); err != nil {
		t.Errorf("the end of a limit: %v", err)
	}
	if len(warned) != 0 {
		t.Errorf("warnings: %q", warned)
	}
}

// A limit without an effect is a warning when it is set, and no more later.
func TestWarnOfLimits(t *testing.T) {
	m, _, _ := changing(t)
	m.disk = func(string) (bundles.Disk, error) { return bundles.Disk{Name: "vdb"}, nil }
	var warned []string
	m.warn = func(text string) { warned = append(warned, text) }
	for _, c := range []struct {
		edit vps.Edit
		want int
	}{
		{vps.LimitIOWeight.Set(7), 1},
		{vps.LimitCPUs.Set(500), 0},
		{vps.SetIO{Limits: []vps.IOLimit{{Bytes: 1 << 20}}}, 0},
		{vps.LimitIOWeight.Set(8), 1},
		{vps.LimitCPUs.Set(9000), 1},
		{vps.AtRestart{Edit: vps.LimitCPUs.Set(9500)}, 2}, // one says that it takes effect later
		{vps.LimitIOWeight.Set(0), 0},
	} {
		warned = nil
		if err := m.Change(context.Background(), "web", c.edit); err != nil || len(warned) != c.want {
			t.Errorf("%s: %v, warnings %q", c.edit, err, warned)
		}
	}
}

// limitless are containers on a host without controllers.
type limitless struct{ containers }

func (limitless) SetLimits(string, *specs.LinuxResources) error { return nil }
