package runtime

import (
	"context"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/template"
	"croft/template/rootfs"
)

// A deriver looks at the VPS while a template is created from it.
type deriver struct {
	fakeTemplates
	look func(base string, r rootfs.Rootfs) error
}

func (d deriver) Derive(_ context.Context, _, base string, r rootfs.Rootfs, _ template.DeriveOptions) (template.Image, error) {
	return template.Image{Name: "made"}, d.look(base, r)
}

func TestCreateTemplate(t *testing.T) {
	m, w := newFake(t, t.TempDir())
	ctx := context.Background()
	if _, err := m.CreateTemplate(ctx, "made", "web", TemplateCreate{}); !fail.Is(err, fail.NotFound) {
		t.Errorf("of a VPS that is not there: %v", err)
	}
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); err != nil {
		t.Fatal(err)
	}
	calls := 0
	check := func(what string, before func(context.Context, vps.Name) error, during, after bool, result error) {
		t.Helper()
		if before != nil {
			if err := before(ctx, "web"); err != nil {
				t.Fatal(what, err)
			}
		}
		m.templates = deriver{look: func(base string, r rootfs.Rootfs) error {
			calls++
			if frozen, _ := w.Frozen("web"); frozen != during || base != "sha256:00" || r.Dir != m.store.FSDir("web") || r.Size != DefaultIDs {
				t.Errorf("%s: frozen %v, of %s and %+v", what, frozen, base, r)
			}
			return result
		}}
		if _, err := m.CreateTemplate(ctx, "made", "web", TemplateCreate{}); err != result {
			t.Errorf("%s: %v", what, err)
		}
		if frozen, _ := w.Frozen("web"); frozen != after {
			t.Errorf("%s: afterwards frozen is %v", what, frozen)
		}
	}
	start := func(ctx context.Context, name vps.Name) error { return m.Start(ctx, name, StartOptions{}) }
	check("stopped", nil, false, false, nil)
	check("running", start, true, false, nil)
	check("a failure", nil, true, false, context.Canceled)
	check("paused", m.Pause, true, true, nil)
	if calls != 4 {
		t.Errorf("%d templates were made", calls)
	}
	if err := m.Destroy(ctx, "web", DestroyOptions{Force: true}); err != nil {
		t.Error(err)
	}
}
