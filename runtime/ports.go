package runtime

import (
	"context"
	"fmt"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/tables"
)

// claimPorts calls save, which publishes the ports more of the VPS name, while no
// other VPS can publish any. A port that another VPS has published, or that a
// socket of the host listens on, is fail.Taken.
func (m *Manager) claimPorts(ctx context.Context, name vps.Name, more []vps.Publication, save func() error) error {
	has, err := m.hostHas()
	if err != nil {
		return err
	}
	for _, p := range more {
		if !has(p) {
			return fail.New(fail.State, "publish %s: this host does not have the address %s", p, p.Host).WithHint("ip address show")
		}
	}
	if err := m.networks.CheckPorts(more); err != nil {
		return err
	}
	return m.store.ClaimPorts(ctx, name, func(others []vps.VPS) error {
		for _, p := range more {
			if err := p.CheckFree(others); err != nil {
				return err
			}
		}
		return save()
	})
}

// hostHas returns a function that reports whether the host has the address of a
// publication. The host cannot translate traffic to other addresses.
func (m *Manager) hostHas() (func(vps.Publication) bool, error) {
	host, err := m.networks.Addresses()
	if err != nil {
		return nil, err
	}
	var routed []network.Table
	for _, t := range m.networkTables().All() {
		routed = append(routed, t)
	}
	return func(p vps.Publication) bool { return network.CanPublish(p, host, routed) }, nil
}

// applicable returns the published ports of v whose address the host has now.
func applicable(v vps.VPS, has func(vps.Publication) bool) []vps.Publication {
	yes, _ := tables.Partition(v.Published, has)
	return yes
}

// putDraft saves a new VPS with its published ports when no other VPS has them. Until
// then the draft must not have them.
func (m *Manager) putDraft(ctx context.Context, draft *state.Draft, v vps.VPS, published []vps.Publication) error {
	v.Published = published
	put := func() error { return draft.Put(v) }
	if len(published) > 0 {
		if _, err := m.networkTables().Publishing(v); err != nil {
			return err
		}
		put = func() error { return m.claimPorts(ctx, v.Name, published, func() error { return draft.Put(v) }) }
	}
	return m.store.UseVolumes(ctx, volumesOf(v.Mounts), put)
}

// publishAtStart makes the published ports of v lead to its interface, which exists
// now. It also restores the ports of other VPSs if another program removed them.
func (m *Manager) publishAtStart(ctx context.Context, v vps.VPS) error {
	if len(v.Published) > 0 {
		has, err := m.hostHas()
		if err != nil {
			return err
		}
		_, gone := tables.Partition(v.Published, has)
		for _, p := range gone {
			m.warn(fmt.Sprintf("%s starts without its published port %s: this host does not have the address %s now (croft network repair publishes it once it has)",
				v.Name, p, p.Host))
		}
	}
	if err := m.networks.CheckPorts(v.Published); err != nil {
		return err
	}
	return m.publishAll(ctx)
}

// publishAll restores the published ports of all VPSs if another program removed them.
func (m *Manager) publishAll(ctx context.Context) error {
	publishers, err := m.store.Publishers()
	if err != nil {
		return err
	}
	if len(publishers) == 0 {
		return nil
	}
	has, err := m.hostHas()
	if err != nil {
		return err
	}
	var all []network.Published
	for _, v := range publishers {
		if plan, err := m.networkTables().Publishing(v); err == nil { // a VPS without addresses cannot run
			all = append(all, network.Published{Plan: plan, Ports: applicable(v, has)})
		}
	}
	return m.networks.Publish(ctx, all)
}
