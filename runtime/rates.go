package runtime

import (
	"context"

	"croft/network"
	"croft/runtime/tables"
)

func (c *change) applyRates(ctx context.Context, _, to side) error {
	plans, err := to.plans()
	if err != nil {
		return err
	}
	return c.networks.SetRates(ctx, plans)
}

// repairRates applies the rates of every VPS in the network of t again.
func (m *Manager) repairRates(ctx context.Context, t network.Table) error {
	entries, err := m.store.All()
	if err != nil {
		return err
	}
	var plans []network.Plan
	for _, e := range entries {
		for _, i := range e.VPS.Interfaces {
			if e.Err != nil || i.Network != t.Name {
				continue
			}
			claim, ok := tables.ClaimOf(t, e.VPS.Name, i.Name)
			if !ok {
				continue
			}
			plan, err := network.NewPlan(t, claim)
			if err != nil {
				return err
			}
			plan.Rate = i.Rate
			plans = append(plans, plan)
		}
	}
	return m.networks.SetRates(ctx, plans)
}
