package host

import (
	"context"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"croft/network"
)

// changes returns how many changes of nf_tables f makes.
func changes(t *testing.T, f func() error) uint32 {
	t.Helper()
	before := mustGeneration(t)
	if err := f(); err != nil {
		t.Fatal(err)
	}
	return mustGeneration(t) - before
}

func mustGeneration(t *testing.T) uint32 {
	t.Helper()
	n, err := generation()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// isRight reports whether the next start takes the network of p for right.
func (p *pair) isRight() bool { return p.host.isRight(network.NewHostPlan(p.table)) }

// A start and a stop of a VPS are one change each, and a network that was right stays right.
func TestOwnChangesAreCounted(t *testing.T) {
	p := newPair(t)
	ctx := context.Background()
	p.ensure(t)
	if !p.isRight() {
		t.Fatal("a network that needed no repair is not noted")
	}
	for what, want := range map[string]struct {
		do func() error
		n  uint32
	}{
		"a stop and a start": {func() error {
			if err := p.host.Unplug(ctx, p.plans[1]); err != nil {
				return err
			}
			return p.host.Plug(ctx, p.plans[1], initOf(p.pids[1]))
		}, 2},
		"a start without a change": {func() error { return p.host.EnsureAtStart(ctx, p.table) }, 0},
	} {
		if n := changes(t, want.do); n != want.n {
			t.Errorf("%s: %d changes, not %d", what, n, want.n)
		}
		if !p.isRight() {
			t.Errorf("%s: all rules are compared again", what)
		}
	}
	if err := p.host.Unplug(ctx, p.plans[1]); err != nil {
		t.Fatal(err)
	}
	if n := changes(t, func() error { return p.host.Unplug(ctx, p.plans[1]) }); n != 0 {
		t.Errorf("%d changes remove what is not there", n)
	}
}

// A change that croft did not count has all compared again, and repaired.
func TestChangesOfOthersAreNoticed(t *testing.T) {
	p := newPair(t)
	ctx := context.Background()
	for what, change := range map[string]func(){
		"an empty table of another program": func() { run(t, "nft", "add table inet other; delete table inet other") },
		"a flush":                           func() { run(t, "nft", "flush ruleset") },
		"a flushed chain of croft": func() {
			run(t, "nft", "flush chain inet "+network.FilterTable+" "+network.ConnectionChain(p.plans[0].HostLink))
		},
		"an own change that is not counted": func() {
			if err := p.host.SetConnections(ctx, []network.Plan{func() network.Plan { q := p.plans[0]; q.Connections = 4000; return q }()}); err != nil {
				t.Fatal(err)
			}
		},
		"a change of another that comes with an own": func() {
			run(t, "nft", "add table inet other; delete table inet other")
			if err := p.host.Unplug(ctx, p.plans[1]); err != nil {
				t.Fatal(err)
			}
			if err := p.host.Plug(ctx, p.plans[1], initOf(p.pids[1])); err != nil {
				t.Fatal(err)
			}
		},
		"another bridge of that name": func() {
			run(t, "ip", "link", "delete", p.table.Bridge)
			run(t, "ip", "link", "add", p.table.Bridge, "type", "bridge")
			run(t, "ip", "link", "set", p.table.Bridge, "up")
		},
		"a bridge that is down":     func() { run(t, "ip", "link", "set", p.table.Bridge, "down") },
		"other settings":            func() { p.table.IPv6 = p.table.IPv6.Masked(); p.table.MTU = 1400 },
		"a port that was taken off": func() { run(t, "ip", "link", "set", p.plans[0].HostLink, "nomaster") },
		"a flush of addresses":      func() { run(t, "ip", "addr", "flush", "dev", p.table.Bridge) },
		"a flush of all neighbours": func() { run(t, "ip", "-4", "neigh", "flush", "dev", p.table.Bridge, "nud", "permanent") },
		"addresses that were taken off and put back": func() {
			run(t, "ip", "addr", "flush", "dev", p.table.Bridge)
			for _, a := range network.NewHostPlan(p.table).Addresses {
				run(t, "ip", "addr", "add", a.String(), "dev", p.table.Bridge, "nodad")
			}
		},
		"a damaged note": func() {
			if err := os.WriteFile(p.host.seriesFile(), []byte("x\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"notes of another boot": func() {
			s, _ := p.host.series()
			s.place = "another"
			p.host.note(p.host.seriesFile(), s.text())
		},
	} {
		p.ensure(t)
		p.ensure(t)
		if !p.isRight() {
			t.Fatalf("before %s the network is not noted as right", what)
		}
		change()
		if intact, err := p.host.intact(network.NewHostPlan(p.table)); p.isRight() && (intact || err != nil) {
			t.Errorf("not noticed: %s, %v", what, err)
		}
		if err := p.host.EnsureAtStart(ctx, p.table); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		after := p.shape(t)
		p.ensure(t)
		if diff := cmp.Diff(after, p.shape(t)); diff != "" {
			t.Errorf("%s: a start has not repaired all:\n%s", what, diff)
		}
	}
}

func TestSeriesText(t *testing.T) {
	s := series{place: "boot 7", id: "x", last: 12}
	if got := parseSeries(s.text()); got != s {
		t.Errorf("%v became %v", s, got)
	}
	for _, text := range []string{"", "a", "a\nb\n", "a\nb\nc\n", "a\nb\n1", "a\nb\n1\nd\n"} {
		if got := parseSeries(text); got != (series{}) {
			t.Errorf("%q is the series %v", text, got)
		}
	}
}
