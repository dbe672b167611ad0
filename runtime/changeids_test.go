package runtime

import (
	"context"
	"testing"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
)

// The number of ids shrinks if the VPS does not run and has no files of the ids that it
// loses, and grows if the ids after its own are free, also while it runs.
func TestChangeIDs(t *testing.T) {
	ctx := context.Background()
	m, w := newFake(t, t.TempDir())
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "t", IDSize: 4 * state.IDUnit}); err != nil {
		t.Fatal(err)
	}
	set := func(units uint32, kind fail.Kind) {
		t.Helper()
		err := m.Change(ctx, "web", vps.SetIDSize{Size: units * state.IDUnit})
		if kind == 0 && err != nil || kind != 0 && !fail.Is(err, kind) {
			t.Errorf("%d units: %v, want kind %d", units, err, kind)
		}
		if v, err := m.store.Get("web"); err != nil || kind == 0 && v.IDs.Size != units*state.IDUnit {
			t.Errorf("%d units: it has %+v, %v", units, v.IDs, err)
		}
	}
	w.above = "/home/f"
	set(3, fail.State)
	w.above = ""
	set(3, 0)
	set(0, fail.Usage)
	set(40000, fail.Taken)
	if err := m.Start(ctx, "web", StartOptions{}); err != nil {
		t.Fatal(err)
	}
	set(2, fail.State)
	switch err := m.Change(ctx, "web", vps.SetIDSize{Size: 4 * state.IDUnit}); {
	case fail.Is(err, fail.Taken): // by a VPS of this host: the tests share its ids
	case err != nil:
		t.Error(err)
	default:
		if info, err := m.Inspect(ctx, "web"); err != nil || len(info.Pending) != 1 || info.Pending[0] != "id-size" {
			t.Errorf("pending is %v, %v", info.Pending, err)
		}
	}
	if err := m.Change(ctx, "web", vps.SetPrivileged{}); err != nil {
		t.Error(err)
	}
	if err := m.Change(ctx, "web", vps.SetPrivileged{Privileged: true}); !fail.Is(err, fail.State) {
		t.Errorf("it became privileged: %v", err)
	}
}
