package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
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

// Publish has ports of the host lead to name, at once if it runs, and at each
// of its starts. A port that another VPS has, running or not, or that a socket
// of the host's listens on is fail.Taken, naming it. What it has published
// already is success. On an error nothing has changed.
func (m *Manager) Publish(ctx context.Context, name string, ports []vps.Publication) error {
	l, was, err := m.existing(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	if _, err := m.leadsTo(was); err != nil {
		return err
	}
	v := was
	// Saved first: what is there is always saved, and a stop takes it away.
	err = m.claimPorts(ctx, &v, ports, func() error { return l.Put(v) })
	if err != nil {
		return err
	}
	if err := m.publish(ctx, v); err != nil {
		back := context.WithoutCancel(ctx)
		return errors.Join(err, m.publish(back, was), l.Put(was))
	}
	return nil
}

// Unpublish removes the chosen published ports. Every choice is about the list
// before the first is removed. If one chooses none (fail.NotFound) or several
// (fail.Usage) nothing is removed.
func (m *Manager) Unpublish(ctx context.Context, name string, chosen []PublicationChoice) error {
	return m.unpublish(ctx, name, func(all []vps.Publication) ([]vps.Publication, error) {
		numbers, err := positions(chosen, func(c PublicationChoice) (int, error) { return c.in(all, name) })
		return without(all, numbers, 0), err
	})
}

// UnpublishAll takes all that name has published away.
func (m *Manager) UnpublishAll(ctx context.Context, name string) error {
	return m.unpublish(ctx, name, func([]vps.Publication) ([]vps.Publication, error) { return nil, nil })
}

func (m *Manager) unpublish(ctx context.Context, name string, rest func([]vps.Publication) ([]vps.Publication, error)) error {
	l, was, err := m.existing(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	v := was
	if v.Published, err = rest(was.Published); err != nil || len(v.Published) == len(was.Published) {
		return err
	}
	if err = m.publish(ctx, v); err == nil {
		err = l.Put(v)
	}
	if err != nil {
		return errors.Join(err, m.publish(context.WithoutCancel(ctx), was))
	}
	return nil
}

// claimPorts adds ports to v's and saves them, while nobody else can.
func (m *Manager) claimPorts(ctx context.Context, v *vps.VPS, ports []vps.Publication, save func() error) error {
	var more []vps.Publication
	for _, p := range ports {
		if err := p.Check(); err != nil {
			return err
		}
		if !slices.Contains(v.Published, p) && !slices.Contains(more, p) {
			more = append(more, p)
		}
	}
	if len(more) == 0 {
		return nil
	}
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
	return m.store.ClaimPorts(ctx, v.Name, func(others []vps.VPS) error {
		for i, p := range more {
			mine := vps.VPS{Name: v.Name, Published: slices.Concat(v.Published, more[:i])}
			if err := p.CheckFree(append(others, mine)); err != nil {
				return err
			}
		}
		v.Published = slices.Concat(v.Published, more)
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
	for _, t := range m.tables() {
		routed = append(routed, t)
	}
	return func(p vps.Publication) bool { return network.CanPublish(p, host, routed) }, nil
}

// applicable are the ports of v on addresses that the host has now: an address
// may be gone since.
func applicable(v vps.VPS, has func(vps.Publication) bool) []vps.Publication {
	yes, _ := partition(v.Published, has)
	return yes
}

// putDraft saves a new VPS, with the ports that it publishes claimed. Until
// then the draft says nothing of them.
func (m *Manager) putDraft(ctx context.Context, draft *state.Draft, v vps.VPS, ports []vps.Publication) error {
	if len(ports) == 0 {
		return draft.Put(v)
	}
	if _, err := m.leadsTo(v); err != nil {
		return err
	}
	return m.claimPorts(ctx, &v, ports, func() error { return draft.Put(v) })
}

// publishAtStart has what v has published lead to its interface, which is
// there by now, and puts back what another program flushed of others'.
func (m *Manager) publishAtStart(ctx context.Context, v vps.VPS) error {
	if len(v.Published) > 0 {
		has, err := m.hostHas()
		if err != nil {
			return err
		}
		_, gone := partition(v.Published, has)
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

// publish makes what leads to v what v says.
func (m *Manager) publish(ctx context.Context, v vps.VPS) error {
	plan, err := m.leadsTo(v)
	if err != nil {
		return err
	}
	has, err := m.hostHas()
	if err != nil {
		return err
	}
	return m.networks.Publish(ctx, []network.Published{{Plan: plan, Ports: applicable(v, has)}})
}

// leadsTo is the interface of v that published ports lead to: the first one
// that the host is the gateway of.
func (m *Manager) leadsTo(v vps.VPS) (network.Plan, error) {
	plugs, err := m.plugs(v)
	if err != nil {
		return network.Plan{}, err
	}
	for _, p := range plugs {
		if p.table.Publishes() {
			return p.plan, nil
		}
	}
	return network.Plan{}, fail.New(fail.State, "ports can be published only on a network where the host is the gateway, and %s has none", v.Name)
}
