package tables

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/network"
)

// A Plug is one interface of a VPS with the plan of both its ends.
type Plug struct {
	Table network.Table // with the claims of its VPS alone
	Claim network.Claim
	Plan  network.Plan
}

// Plugs returns the plans of v's interfaces, in their order. It is fail.State if
// a network is missing or has no addresses for v.
func (ts Tables) Plugs(v vps.VPS) ([]Plug, error) {
	var all []Plug
	for _, i := range v.Interfaces {
		p, err := ts.plug(v, i)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(p Plug) bool { return len(p.Plan.Gateways) > 0 }) {
			p.Plan = p.Plan.AsSecondary(p.Table) // another interface has the default route
		}
		p.Plan.Rate = i.Rate
		all = append(all, p)
	}
	return all, nil
}

// Plans returns the plans of Plugs.
func (ts Tables) Plans(v vps.VPS) ([]network.Plan, error) {
	plugs, err := ts.Plugs(v)
	return PlansOf(plugs), err
}

// PlansOf returns the plans of plugs.
func PlansOf(plugs []Plug) []network.Plan {
	var all []network.Plan
	for _, p := range plugs {
		all = append(all, p.Plan)
	}
	return all
}

// Publishing returns the plan of the interface to which published ports of v lead:
// the first one in a network whose gateway is the host. It is fail.State if there
// is none.
func (ts Tables) Publishing(v vps.VPS) (network.Plan, error) {
	plugs, err := ts.Plugs(v)
	if err != nil {
		return network.Plan{}, err
	}
	return PublishingOf(v.Name, plugs)
}

// PublishingOf is Publishing for the plugs of the VPS name.
func PublishingOf(name vps.Name, plugs []Plug) (network.Plan, error) {
	for _, p := range plugs {
		if p.Table.Publishes() {
			return p.Plan, nil
		}
	}
	return network.Plan{}, fail.New(fail.State, "ports can be published only on a network where the host is the gateway, and %s has none", name)
}

// PlugsLeft returns the plugs of v that may still be on the host, for removing
// them. An interface without a claim has been removed before. A table that cannot
// be read is a warning.
func (ts Tables) PlugsLeft(v vps.VPS) []Plug {
	var all []Plug
	for _, i := range slices.Concat(v.Interfaces, v.Detached) {
		p, err := ts.plug(v, i)
		switch {
		case err == nil:
			all = append(all, p)
		case !errors.Is(err, errNoClaim):
			ts.Warn(err.Error())
		}
	}
	return all
}

// errNoClaim is in the chain of an error of plug if the network has no addresses
// for the VPS or does not exist.
var errNoClaim = errors.New("no claim")

// ClaimMissing claims addresses for v in the networks that have none for it:
// their tables were lost and made again.
func (ts Tables) ClaimMissing(ctx context.Context, v vps.VPS) error {
	for _, i := range v.Interfaces {
		_, err := ts.plug(v, i)
		if !errors.Is(err, errNoClaim) {
			continue // the start reports other errors
		}
		if err := ts.Claim(ctx, v, nil); err != nil {
			return err
		}
		ts.Warn(fmt.Sprintf("%s had no addresses in network %s, and has new ones", v.Name, i.Network))
	}
	return nil
}

// plug returns the plan of interface i of v.
func (ts Tables) plug(v vps.VPS, i vps.Interface) (Plug, error) {
	files, err := ts.Store.Network(i.Network)
	if err != nil {
		return Plug{}, err
	}
	if files.Settings == nil {
		return Plug{}, &fail.Error{Kind: fail.State, Msg: fmt.Sprintf("network %s is gone", i.Network), Err: errNoClaim}
	}
	t, err := ts.decode(i.Network, files, v.Name)
	if err != nil {
		return Plug{}, err
	}
	claim, ok := ClaimOf(t, v.Name, i.Name)
	if !ok {
		return Plug{}, &fail.Error{Kind: fail.State, Msg: fmt.Sprintf("network %s has no addresses for %s", i.Network, v.Name), Err: errNoClaim}
	}
	plan, err := network.NewPlan(t, claim)
	return Plug{Table: t, Claim: claim, Plan: plan}, err
}
