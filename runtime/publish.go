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

// PublishedInfo is the published ports of a VPS, as they are saved and as they
// really are.
type (
	PublishedInfo   = network.PublishedInfo
	PublicationInfo = network.PublicationInfo
)

// Published says what name has published, and what of it is really there.
func (m *Manager) Published(ctx context.Context, name string) (PublishedInfo, error) {
	v, err := m.store.Get(name)
	if err != nil {
		return PublishedInfo{}, err
	}
	init, err := m.liveInit(name)
	if err != nil {
		return PublishedInfo{}, err
	}
	p := network.Published{Plan: network.Plan{Owner: name}, Ports: v.Published}
	if init.PID == 0 || len(v.Published) == 0 {
		info := p.SavedInfo()
		info.Running = init.PID != 0
		info.Applied = info.Running
		return info, nil
	}
	if p.Plan, err = m.leadsTo(v); err != nil {
		return PublishedInfo{}, err
	}
	return m.networks.Published(ctx, p)
}

// AllPublished says what every VPS that has published ports has published,
// sorted by name. A VPS whose network cannot be read is a warning.
func (m *Manager) AllPublished(ctx context.Context) ([]PublishedInfo, error) {
	publishers, err := m.store.Publishers()
	if err != nil {
		return nil, err
	}
	all := []PublishedInfo{}
	for _, v := range publishers {
		info, err := m.Published(ctx, v.Name)
		switch {
		case fail.Is(err, fail.NotFound): // destroyed since
		case err != nil:
			m.warn(fmt.Sprintf("%s: cannot list its published ports: %v", v.Name, err))
		case len(info.Published) > 0:
			all = append(all, info)
		}
	}
	return all, ctx.Err()
}

// applyPublished makes the published ports of to lead to its interface, with the
// addresses that it has then.
func (c *change) applyPublished(ctx context.Context, from, to side) error {
	if len(from.Published)+len(to.Published) == 0 {
		return nil
	}
	plan, err := to.publishing()
	if err != nil {
		return err
	}
	has, err := c.hostHas()
	if err != nil {
		return err
	}
	return c.networks.Publish(ctx, []network.Published{{Plan: plan, Ports: applicable(to.VPS, has)}})
}

// claimPorts calls save, which publishes the ports more of the VPS name, while no
// other VPS can publish any. A port that another VPS has published, or that a
// socket of the host listens on, is fail.Taken.
func (m *Manager) claimPorts(ctx context.Context, name string, more []vps.Publication, save func() error) error {
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

// hostHas reports whether the host has the address that ports are published
// on. Traffic to any other one is not the host's to translate.
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

// applicable are the ports of v on addresses that the host has now: an address
// may be gone since.
func applicable(v vps.VPS, has func(vps.Publication) bool) []vps.Publication {
	yes, _ := tables.Partition(v.Published, has)
	return yes
}

// putDraft saves a new VPS, with its published ports, once no other VPS has
// them. Until then the draft must not name them.
func (m *Manager) putDraft(ctx context.Context, draft *state.Draft, v vps.VPS, published []vps.Publication) error {
	v.Published = published
	if len(published) == 0 {
		return draft.Put(v)
	}
	if _, err := m.leadsTo(v); err != nil {
		return err
	}
	return m.claimPorts(ctx, v.Name, published, func() error { return draft.Put(v) })
}

// publishAtStart has what v has published lead to its interface, which is
// there by now, and puts back what another program flushed of others'.
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

// publishAll puts back what another program flushed.
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
		if plan, err := m.leadsTo(v); err == nil { // one without addresses cannot run
			all = append(all, network.Published{Plan: plan, Ports: applicable(v, has)})
		}
	}
	return m.networks.Publish(ctx, all)
}

// leadsTo is the plan of the interface of v that published ports lead to.
func (m *Manager) leadsTo(v vps.VPS) (network.Plan, error) {
	plugs, err := m.networkTables().Plugs(v)
	return side{v, plugs, err}.publishing()
}

// publishing is the plan of the interface that published ports lead to: the first
// one that the host is the gateway of.
func (s side) publishing() (network.Plan, error) {
	for _, p := range s.plugs {
		if p.Table.Publishes() {
			return p.Plan, nil
		}
	}
	if s.err != nil {
		return network.Plan{}, s.err
	}
	return network.Plan{}, fail.New(fail.State, "ports can be published only on a network where the host is the gateway, and %s has none", s.Name)
}
