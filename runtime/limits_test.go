package runtime

import (
	"context"
	"testing"

	"croft/internal/vps"
)

// Limits of a running VPS change at once, all of them or none, and each is named,
// also where there is none.
func TestChangeLimits(t *testing.T) {
	m, w, _ := changing(t)
	ctx := context.Background()
	change := func(edits ...vps.Edit) error { return m.Change(ctx, "web", edits...) }
	if err := change(vps.SetMemory{Bytes: 64 << 20}, vps.SetSwap{Bytes: -1}, vps.SetCPUs{Milli: 1500}, vps.SetPIDs{Number: 77}); err != nil {
		t.Fatal(err)
	}
	const limited = "memory 67108864 swap 67108864 quota 150000 pids 77"
	if got := w.limits["web"]; got != limited {
		t.Errorf("limits: %s", got)
	}
	w.failAt = w.effects + 1
	if err := change(vps.SetMemory{Bytes: 32 << 20}); err == nil {
		t.Error("it did not fail")
	}
	w.failAt = 0
	if got := w.limits["web"]; got != limited {
		t.Errorf("after a failure: %s", got)
	}
	if v, err := m.store.Get("web"); err != nil || v.Limits.Memory != 64<<20 {
		t.Errorf("saved: %+v, %v", v.Limits, err)
	}
	if err := change(vps.SetMemory{Bytes: -1}, vps.SetSwap{}, vps.SetCPUs{}, vps.SetPIDs{Number: -1}); err != nil {
		t.Fatal(err)
	}
	if got := w.limits["web"]; got != "memory -1 swap -1 quota -1 pids -1" {
		t.Errorf("without limits: %s", got)
	}
}
