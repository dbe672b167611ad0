package vps

import (
	"fmt"
	"slices"

	"croft/internal/fail"
)

// AddRules inserts rules before the rule number At of the list, or appends them
// if At is 0. A rule number that does not exist is fail.NotFound. A second call
// adds the rules again.
type AddRules struct {
	Rules []FirewallRule
	At    int
}

// Apply inserts the rules.
func (e AddRules) Apply(v *VPS) error {
	f := &v.Firewall
	at := e.At
	if at == 0 {
		at = len(f.Rules) + 1
	}
	if at < 1 || at > len(f.Rules)+1 {
		return fail.New(fail.NotFound, "no rule %d: %s", at, theLast(len(f.Rules))).WithHint("croft firewall %s list", v.Name)
	}
	f.Rules = slices.Insert(slices.Clone(f.Rules), at-1, e.Rules...)
	return nil
}

// Part is the firewall.
func (AddRules) Part() Part { return PartFirewall }

func (e AddRules) String() string {
	if e.At == 0 {
		return "add rules " + texts(e.Rules)
	}
	return fmt.Sprintf("add rules at %d %s", e.At, texts(e.Rules))
}

// RemoveRules removes the chosen rules. Every choice is about the list before the
// first removal. A choice of no rule is fail.NotFound, one of several fail.Usage.
type RemoveRules struct{ Chosen []FirewallChoice }

// Apply removes the rules.
func (e RemoveRules) Apply(v *VPS) error {
	f := &v.Firewall
	numbers, err := positions(e.Chosen, func(c FirewallChoice) (int, error) { return c.in(f.Rules, v.Name) })
	f.Rules = without(f.Rules, numbers, 0)
	return err
}

// Part is the firewall.
func (RemoveRules) Part() Part { return PartFirewall }

func (e RemoveRules) String() string { return "remove rules " + texts(e.Chosen) }

// SetPolicy sets the policy of a chain of the firewall.
type SetPolicy struct{ Chain, Policy string }

// Apply sets the policy.
func (e SetPolicy) Apply(v *VPS) error {
	if err := CheckChain(e.Chain); err != nil {
		return fail.New(fail.Usage, "%w", err)
	}
	policy := e.Policy
	if policy == PolicyAccept {
		policy = "" // the default
	}
	switch e.Chain {
	case ChainInput:
		v.Firewall.Input = policy
	case ChainOutput:
		v.Firewall.Output = policy
	case ChainForward:
		v.Firewall.Forward = policy
	}
	return nil
}

// Part is the firewall.
func (SetPolicy) Part() Part { return PartFirewall }

func (e SetPolicy) String() string { return "policy " + e.Chain + " " + e.Policy }

// FlushFirewall removes all rules and policies.
type FlushFirewall struct{}

// Apply empties the firewall.
func (FlushFirewall) Apply(v *VPS) error {
	v.Firewall = Firewall{}
	return nil
}

// Part is the firewall.
func (FlushFirewall) Part() Part { return PartFirewall }

func (FlushFirewall) String() string { return "flush firewall" }
