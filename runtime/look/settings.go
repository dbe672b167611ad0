package look

import (
	"context"
	"fmt"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/vps"
	"croft/network"
)

// Applied tells which settings of a running VPS are really applied.
type Applied interface {
	Firewall(ctx context.Context, name vps.Name, f vps.Firewall, init inside.Identity) (network.FirewallInfo, error)
	Routing(name vps.Name, r vps.Routing, interfaces []network.Plan, init inside.Identity) (network.RoutingInfo, error)
	Published(ctx context.Context, p network.Published) (network.PublishedInfo, error)
}

// Firewall describes the firewall of the VPS name, and which rules really exist.
func (l Looker) Firewall(ctx context.Context, name vps.Name) (network.FirewallInfo, error) {
	v, err := l.Store.Get(name)
	if err != nil {
		return network.FirewallInfo{}, err
	}
	seen, err := l.Observer.Observe(name)
	if err != nil {
		return network.FirewallInfo{}, err
	}
	if !seen.Alive {
		return network.SavedFirewall(v.Firewall, name), nil
	}
	return l.Applied.Firewall(ctx, name, v.Firewall, seen.Init())
}

// Routing describes the routes and rules of the VPS name, and which really exist.
func (l Looker) Routing(_ context.Context, name vps.Name) (network.RoutingInfo, error) {
	v, err := l.Store.Get(name)
	if err != nil {
		return network.RoutingInfo{}, err
	}
	seen, err := l.Observer.Observe(name)
	if err != nil {
		return network.RoutingInfo{}, err
	}
	if !seen.Alive {
		return network.SavedRouting(v.Routing, name), nil
	}
	plans, err := l.Tables.Plans(v)
	if err != nil {
		return network.RoutingInfo{}, err
	}
	return l.Applied.Routing(name, v.Routing, plans, seen.Init())
}

// Published describes the published ports of the VPS name, and which really exist.
func (l Looker) Published(ctx context.Context, name vps.Name) (network.PublishedInfo, error) {
	v, err := l.Store.Get(name)
	if err != nil {
		return network.PublishedInfo{}, err
	}
	seen, err := l.Observer.Observe(name)
	if err != nil {
		return network.PublishedInfo{}, err
	}
	p := network.Published{Plan: network.Plan{Owner: name}, Ports: v.Published}
	if !seen.Alive || len(v.Published) == 0 {
		info := p.SavedInfo()
		info.Running = seen.Alive
		info.Applied = info.Running
		return info, nil
	}
	if p.Plan, err = l.Tables.Publishing(v); err != nil {
		return network.PublishedInfo{}, err
	}
	return l.Applied.Published(ctx, p)
}

// AllPublished describes the published ports of all VPSs that have some, sorted by
// name. A VPS whose network cannot be read is a warning.
func (l Looker) AllPublished(ctx context.Context) ([]network.PublishedInfo, error) {
	publishers, err := l.Store.Publishers()
	if err != nil {
		return nil, err
	}
	all := []network.PublishedInfo{}
	for _, v := range publishers {
		info, err := l.Published(ctx, v.Name)
		switch {
		case fail.Is(err, fail.NotFound): // destroyed since
		case err != nil:
			l.Warn(fmt.Sprintf("%s: cannot list its published ports: %v", v.Name, err))
		case len(info.Published) > 0:
			all = append(all, info)
		}
	}
	return all, ctx.Err()
}
