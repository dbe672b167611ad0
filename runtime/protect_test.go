package runtime

import (
	"context"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
)

// A protected VPS is not destroyed. A refused destroy changes nothing, so a running
// VPS continues to run.
func TestProtected(t *testing.T) {
	ctx := context.Background()
	f := newFaulty(t, memoryDir(t))
	defer f.end()
	if _, err := f.m.Create(ctx, "web", CreateOptions{Template: "t", Published: published(), Protected: true}); err != nil {
		t.Fatal(err)
	}
	refused := func(o DestroyOptions) {
		t.Helper()
		before := f.snapshot()
		err := f.m.Destroy(ctx, "web", o)
		if !fail.Is(err, fail.State) || fail.HintOf(err) != "croft set web --protect no" {
			t.Errorf("destroy %+v: %v, hint %q", o, err, fail.HintOf(err))
		}
		if after := f.snapshot(); after != before {
			t.Errorf("destroy %+v is refused, and there was\n%s\nand is\n%s", o, before, after)
		}
	}
	refused(DestroyOptions{})
	refused(DestroyOptions{Force: true, IfExists: true})
	if err := startWeb(f); err != nil {
		t.Fatal(err)
	}
	refused(DestroyOptions{})
	refused(DestroyOptions{Force: true})
	if info, err := f.m.Inspect(ctx, "web"); err != nil || !info.Protected || info.Status != StatusRunning {
		t.Errorf("%+v, %v", info, err)
	}

	// The protection belongs to the VPS and not to its name.
	if err := f.m.Stop(ctx, "web", StopOptions{Fast: true}); err != nil {
		t.Fatal(err)
	}
	for _, to := range []vps.Name{"db", "web"} {
		from := map[vps.Name]vps.Name{"db": "web", "web": "db"}[to]
		if err := f.m.Rename(ctx, from, to); err != nil {
			t.Fatal(err)
		}
	}
	refused(DestroyOptions{Force: true})

	if err := f.m.Change(ctx, "web", vps.SetProtected{}); err != nil {
		t.Fatal(err)
	}
	if info, err := f.m.Inspect(ctx, "web"); err != nil || info.Protected {
		t.Errorf("%+v, %v", info, err)
	}
	f.whole(t, "after the protection was taken off")
}

// A VPS of run --rm cannot be protected.
func TestEphemeralIsNotProtected(t *testing.T) {
	f := newFaulty(t, memoryDir(t))
	defer f.end()
	if _, err := f.m.Create(background, "web", CreateOptions{Template: "t", Ephemeral: true, Protected: true}); !fail.Is(err, fail.Usage) {
		t.Error(err)
	}
	if _, err := f.m.Create(background, "web", CreateOptions{Template: "t", Ephemeral: true}); err != nil {
		t.Fatal(err)
	}
	if err := changeWeb(vps.SetProtected{Protected: true})(f); !fail.Is(err, fail.Usage) {
		t.Error(err)
	}
	f.whole(t, "ephemeral")
}
