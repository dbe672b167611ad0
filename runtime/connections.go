package runtime

import (
	"context"
	"errors"

	"croft/internal/vps"
	"croft/network"
)

// claimLimits records the limits of connections of c.now in the tables of its
// networks.
func (c *change) claimLimits(ctx context.Context) error {
	c.undo.arm(func() error { return c.setLimits(context.WithoutCancel(ctx), c.was.VPS) })
	return c.setLimits(ctx, c.now.VPS)
}

// setLimits writes the limits of v into the tables of its networks.
func (m *Manager) setLimits(ctx context.Context, v vps.VPS) (failed error) {
	for _, i := range v.Interfaces {
		if !i.Tracked {
			continue
		}
		failed = errors.Join(failed, m.networkTables().Change(ctx, i.Network, func(t *network.Table) error {
			return t.SetConnections(v.Name, i.Name, i.Connections)
		}))
	}
	return failed
}

func (c *change) applyConnections(ctx context.Context, _, to side) error {
	plans, err := to.plans()
	if err != nil {
		return err
	}
	return c.networks.SetConnections(ctx, plans)
}
