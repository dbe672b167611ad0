package runtime

import (
	"context"
	"slices"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/vps"
	"croft/network"
)

// A RateSetting limits what interfaces of a VPS carry, in bits per second: 0
// is no limit. A direction that is nil stays as it is.
type RateSetting struct {
	Interface string  // "" is every one
	In        *uint64 // to the VPS
	Out       *uint64 // from it
}

// applyRates makes the interfaces of v, which runs, keep to their rates.
func (m *Manager) applyRates(ctx context.Context, v vps.VPS, _ inside.Identity) error {
	plans, err := m.plans(v)
	if err != nil {
		return err
	}
	return m.networks.SetRates(ctx, plans)
}

// setRates changes the rates of v's interfaces, in the order of the settings.
// An interface that it does not have is fail.NotFound.
func setRates(v *vps.VPS, rates []RateSetting) error {
	v.Interfaces = slices.Clone(v.Interfaces)
	for _, r := range rates {
		if err := r.check(); err != nil {
			return err
		}
		found := false
		for i := range v.Interfaces {
			at := &v.Interfaces[i]
			if r.Interface != "" && r.Interface != at.Name {
				continue
			}
			found = true
			if r.In != nil {
				at.Rate.In = *r.In
			}
			if r.Out != nil {
				at.Rate.Out = *r.Out
			}
		}
		switch {
		case found:
		case r.Interface == "":
			return fail.New(fail.State, "%s has no network", v.Name)
		default:
			return fail.New(fail.NotFound, "%s has no interface %s", v.Name, r.Interface).WithHint("croft inspect %s", v.Name)
		}
	}
	return nil
}

func (r RateSetting) check() error {
	for _, n := range []*uint64{r.In, r.Out} {
		if n != nil && *n != 0 && (*n < vps.LeastRate || *n > vps.MostRate) {
			return fail.New(fail.Usage, "rate: %d bits per second is not from %d to %d", *n, uint64(vps.LeastRate), uint64(vps.MostRate))
		}
	}
	return nil
}

// repairRates makes every VPS in the network of t keep to its rates again.
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
			claim, ok := claimOf(t, e.VPS.Name, i.Name)
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
