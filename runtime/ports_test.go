package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime/paths"
)

func tcp(ports, to string) vps.Publication {
	return vps.Publication{Protocol: "tcp", Ports: ports, To: to}
}

func publishedBy(t *testing.T, m *Manager, name vps.Name) []vps.Publication {
	t.Helper()
	v, err := m.store.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return v.Published
}

// If many commands publish one port at the same time, in a create or a change, one gets
// it, and the errors of the others name the owner.
func TestParallelPublishersHaveOneWinner(t *testing.T) {
	m, _ := newFake(t, t.TempDir())
	ctx := context.Background()
	const many = 20
	for i := range many {
		if _, err := m.Create(ctx, vps.Name(fmt.Sprintf("v%d", i)), CreateOptions{Template: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	losers := make([]error, 2*many)
	for i := range many {
		wanted := []vps.Publication{tcp(fmt.Sprintf("%d-8100", 8000+i), fmt.Sprintf("%d-8100", 8000+i))}
		all.Go(func() { losers[i] = m.Change(ctx, vps.Name(fmt.Sprintf("v%d", i)), vps.Publish{Ports: wanted}) })
		all.Go(func() {
			_, losers[many+i] = m.Create(ctx, vps.Name(fmt.Sprintf("v%d", many+i)), CreateOptions{Template: "t", Published: wanted})
		})
	}
	all.Wait()
	winner := slices.Index(losers, nil)
	for i, err := range losers {
		if i != winner && (!fail.Is(err, fail.Taken) || !strings.Contains(err.Error(), fmt.Sprintf("v%d has published", winner))) {
			t.Errorf("v%d: %v; the winner is v%d", i, err, winner)
		}
		if paths.Exists(m.store.VPSDir(vps.Name(fmt.Sprintf("v%d", i)))) != (i < many || i == winner) {
			t.Errorf("v%d is there, or not", i)
		}
	}
	if got := publishedBy(t, m, vps.Name(fmt.Sprintf("v%d", winner))); len(got) != 1 {
		t.Errorf("the winner has %v", got)
	}
}

// A change that cannot be applied is undone and not saved.
func TestPublishFails(t *testing.T) {
	ctx := context.Background()
	for _, after := range []bool{false, true} {
		m, w := newFake(t, t.TempDir())
		_, err := m.Create(ctx, "web", CreateOptions{Template: "t", Published: []vps.Publication{tcp("80", "80")}})
		if err == nil {
			err = m.Start(ctx, "web", StartOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
		before := w.String()
		for what, do := range map[string]func() error{
			"add":    func() error { return m.Change(ctx, "web", vps.Publish{Ports: []vps.Publication{tcp("81", "81")}}) },
			"remove": func() error { return m.Change(ctx, "web", vps.Unpublish{Chosen: []vps.PublicationChoice{{Number: 1}}}) },
		} {
			w.effects, w.failAt, w.after = 0, 1, after
			if err := do(); !errors.Is(err, errWorld) {
				t.Errorf("%s: %v", what, err)
			}
			w.failAt = 0
			if got := publishedBy(t, m, "web"); len(got) != 1 || got[0].Ports != "80" || w.String() != before {
				t.Errorf("%s: it has %v\n%s", what, got, w)
			}
		}
		for range 2 {
			if err := m.Change(ctx, "web", vps.Publish{Ports: []vps.Publication{tcp("81", "81"), tcp("81", "81")}}); err != nil {
				t.Error(err)
			}
		}
		if got := publishedBy(t, m, "web"); len(got) != 2 || w.String() == before {
			t.Errorf("it has %v\n%s", got, w)
		}
		if err := m.Destroy(ctx, "web", DestroyOptions{Force: true}); err != nil || w.String() != "" {
			t.Errorf("%v, left: %s", err, w)
		}
	}
}

func TestPublishRefuses(t *testing.T) {
	m, _ := newFake(t, t.TempDir())
	ctx := context.Background()
	if _, err := m.Create(ctx, "alone", CreateOptions{Template: "t", Networks: onNetworks(NoNetwork)}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "t", Published: []vps.Publication{tcp("80", "80")}}); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		err  error
		want fail.Kind
	}{
		"without network":        {m.Change(ctx, "alone", vps.Publish{Ports: []vps.Publication{tcp("81", "81")}}), fail.State},
		"nonsense":               {m.Change(ctx, "web", vps.Publish{Ports: []vps.Publication{tcp("81", "81-82")}}), fail.Usage},
		"what it has, otherwise": {m.Change(ctx, "web", vps.Publish{Ports: []vps.Publication{tcp("80", "8080")}}), fail.Taken},
		"twice, otherwise":       {m.Change(ctx, "web", vps.Publish{Ports: []vps.Publication{tcp("90", "1"), tcp("90", "2")}}), fail.Taken},
		"of nobody":              {m.Change(ctx, "nobody", vps.Publish{Ports: []vps.Publication{tcp("81", "81")}}), fail.NotFound},
		"a number too high":      {m.Change(ctx, "web", vps.Unpublish{Chosen: []vps.PublicationChoice{{Number: 2}}}), fail.NotFound},
	} {
		if !fail.Is(c.err, c.want) {
			t.Errorf("%s: %v", what, c.err)
		}
	}
	_, err := m.Create(ctx, "x", CreateOptions{Template: "t", Networks: onNetworks(NoNetwork), Published: []vps.Publication{tcp("81", "81")}})
	if !fail.Is(err, fail.Usage) {
		t.Error(err)
	}
}

// An empty list has no last number.
func TestUnpublishOfNothing(t *testing.T) {
	m, _ := newFake(t, t.TempDir())
	ctx := context.Background()
	if _, err := m.Create(ctx, "web", CreateOptions{Template: "t"}); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{m.Change(ctx, "web", vps.Unpublish{Chosen: []vps.PublicationChoice{{Number: 1}}}), m.Change(ctx, "web", vps.RemoveRoutes{Chosen: []vps.RouteChoice{{Number: 1}}}), m.Change(ctx, "web", vps.RemoveRules{Chosen: []vps.FirewallChoice{{Number: 1}}})} {
		if !fail.Is(err, fail.NotFound) || !strings.HasSuffix(err.Error(), " 1: there is none") {
			t.Error(err)
		}
	}
}

// The list of all VPSs has those that have published ports, sorted by name.
func TestAllPublished(t *testing.T) {
	m, _ := newFake(t, t.TempDir())
	ctx := context.Background()
	if all, err := m.AllPublished(ctx); err != nil || len(all) != 0 {
		t.Errorf("without VPSs: %v, %v", all, err)
	}
	for name, ports := range map[string][]vps.Publication{"web": {tcp("80", "80"), tcp("443", "443")}, "db": {tcp("5432", "5432")}, "quiet": nil} {
		if _, err := m.Create(ctx, vps.Name(name), CreateOptions{Template: "t", Published: ports}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := m.AllPublished(ctx)
	if err != nil || len(all) != 2 || all[0].Name != "db" || all[1].Name != "web" || len(all[1].Published) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
}
