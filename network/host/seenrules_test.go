package host

import (
	"context"
	"os"
	"strings"
	"testing"

	"croft/network"
)

// isSeen reports whether the rules of p are those that were right, in both families.
func (p *pair) isSeen() (seen bool) {
	seen = true
	plan := network.NewHostPlan(p.table)
	for _, six := range []bool{false, true} {
		seen = seen && p.host.seenRight(p.table.Name, six, plan.RulesOf(six), p.host.rulesInKernel(six))
	}
	return seen
}

// Rules that were right are not compared again, until anything about them changes: also if
// new rules have the same numbers in the kernel.
func TestSeenRules(t *testing.T) {
	p := newPair(t)
	p.ensure(t)
	if !p.isSeen() {
		t.Fatal("a second start does not note that the rules are right")
	}
	run(t, "sh", "-c", "iptables -I INPUT -j ACCEPT && iptables -D INPUT 1")
	if !p.isSeen() {
		t.Error("the same rules are compared again")
	}
	for _, change := range []string{
		"iptables -I INPUT -j ACCEPT",
		"iptables -I FORWARD -s 192.0.2.1 -j ACCEPT",
		"ip6tables -A CROFT-FORWARD -j ACCEPT",
		"iptables -t nat -F CROFT-POSTROUTING",
		"iptables-save | sed '/^-A CROFT-FORWARD/s/DROP/ACCEPT/' >$0/rules && nft flush ruleset && iptables-restore $0/rules",
	} {
		run(t, "sh", "-c", change, t.TempDir())
		if p.isSeen() {
			t.Errorf("it is not noticed: %s", change)
		}
		p.ensure(t)
		p.ensure(t)
		if !p.isSeen() {
			t.Errorf("after %s the rules are compared at each start", change)
		}
	}
	if got := run(t, "iptables-save"); !strings.Contains(got, "-A CROFT-FORWARD") || strings.Count(got, "-j DROP") == 0 {
		t.Errorf("the guards are not restored: %s", got)
	}
}

// What is noted of a network goes with it. A note that is damaged is like none.
func TestSeenRulesGo(t *testing.T) {
	p := newPair(t)
	p.ensure(t)
	file := p.host.seenFile(p.table.Name, false)
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p.isSeen() {
		t.Error("a damaged note is used")
	}
	p.ensure(t)
	if !p.isSeen() {
		t.Error("a damaged note stays")
	}
	for _, plan := range p.plans {
		if err := p.host.Unplug(context.Background(), plan); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.host.Remove(context.Background(), network.NewHostPlan(p.table)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p.host.Seen); !os.IsNotExist(err) {
		t.Errorf("the notes stay: %v", err)
	}
}
