package runtime

import (
	"context"
	"net/netip"

	"croft/internal/inside"
	"croft/internal/vps"
	"croft/network"
)

// hostNetworks is networks on the real host. Each operation has sockets of its
// own: several run at once when many VPSs stop, and what one that failed has
// queued for the kernel must not go out with the next.
type hostNetworks struct{ host func() (*network.Host, error) }

func (n hostNetworks) Seed(name string) (network.Seed, error) {
	h, err := n.host()
	if err != nil {
		return network.Seed{}, err
	}
	defer h.Close()
	return h.Seed(name)
}

func (n hostNetworks) Addresses() ([]netip.Addr, error) {
	h, err := n.host()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	return h.Addresses()
}

func (n hostNetworks) Ensure(ctx context.Context, p network.HostPlan) error {
	h, err := n.host()
	if err != nil {
		return err
	}
	defer h.Close()
	return h.Ensure(ctx, p)
}

func (n hostNetworks) Plug(ctx context.Context, p network.Plan, init inside.Identity) error {
	h, err := n.host()
	if err != nil {
		return err
	}
	defer h.Close()
	return h.Plug(ctx, p, init)
}

func (n hostNetworks) Replug(ctx context.Context, p network.Plan, init inside.Identity) (bool, error) {
	h, err := n.host()
	if err != nil {
		return false, err
	}
	defer h.Close()
	return h.Replug(ctx, p, init)
}

func (n hostNetworks) Keep(p network.Plan, init inside.Identity, path string) error {
	h, err := n.host()
	if err != nil {
		return err
	}
	defer h.Close()
	return h.Keep(p, init, path)
}

func (n hostNetworks) GiveBack(p network.Plan, path string) error {
	h, err := n.host()
	if err != nil {
		return err
	}
	defer h.Close()
	return h.GiveBack(p, path)
}

func (n hostNetworks) Unplug(ctx context.Context, p network.Plan) error {
	h, err := n.host()
	if err != nil {
		return err
	}
	defer h.Close()
	return h.Unplug(ctx, p)
}

func (n hostNetworks) Remove(ctx context.Context, p network.HostPlan) error {
	h, err := n.host()
	if err != nil {
		return err
	}
	defer h.Close()
	return h.Remove(ctx, p)
}

func (n hostNetworks) Dropped(p network.Plan) (map[network.Reason]uint64, error) {
	h, err := n.host()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	return h.Dropped(p)
}

func (n hostNetworks) Answering(ctx context.Context, link string, addrs []netip.Addr) (map[netip.Addr]string, error) {
	if link == "" {
		return nil, nil
	}
	h, err := n.host()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	return h.Answering(ctx, link, addrs)
}

func (n hostNetworks) Traffic(plans []network.Plan) (map[string]network.Traffic, error) {
	h, err := n.host()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	return h.Traffic(plans)
}

func (n hostNetworks) SetFirewall(ctx context.Context, f vps.Firewall, init inside.Identity) error {
	h, err := n.host()
	if err != nil {
		return err
	}
	defer h.Close()
	return h.SetFirewall(ctx, f, init)
}

func (n hostNetworks) Firewall(ctx context.Context, name string, f vps.Firewall, init inside.Identity) (network.FirewallInfo, error) {
	h, err := n.host()
	if err != nil {
		return network.FirewallInfo{}, err
	}
	defer h.Close()
	return h.Firewall(ctx, name, f, init)
}

func (n hostNetworks) SetRouting(r vps.Routing, interfaces []network.Plan, init inside.Identity) error {
	h, err := n.host()
	if err != nil {
		return err
	}
	defer h.Close()
	return h.SetRouting(r, interfaces, init)
}

func (n hostNetworks) Routing(name string, r vps.Routing, interfaces []network.Plan, init inside.Identity) (network.RoutingInfo, error) {
	h, err := n.host()
	if err != nil {
		return network.RoutingInfo{}, err
	}
	defer h.Close()
	return h.Routing(name, r, interfaces, init)
}

func (n hostNetworks) Readdress(ctx context.Context, was, now network.Plan, init inside.Identity) error {
	h, err := n.host()
	if err != nil {
		return err
	}
	defer h.Close()
	return h.Readdress(ctx, was, now, init)
}

func (n hostNetworks) SetRates(ctx context.Context, plans []network.Plan) error {
	h, err := n.host()
	if err != nil {
		return err
	}
	defer h.Close()
	return h.SetRates(ctx, plans)
}

func (n hostNetworks) SetConnections(ctx context.Context, plans []network.Plan) error {
	h, err := n.host()
	if err != nil {
		return err
	}
	defer h.Close()
	return h.SetConnections(ctx, plans)
}

func (n hostNetworks) ConnectionLimit(p network.Plan) (uint32, error) {
	h, err := n.host()
	if err != nil {
		return 0, err
	}
	defer h.Close()
	return h.ConnectionLimit(p), nil
}

func (n hostNetworks) Withdraw(was, now network.Plan) error {
	h, err := n.host()
	if err != nil {
		return err
	}
	defer h.Close()
	return h.Withdraw(was, now)
}

func (n hostNetworks) CheckPorts(ports []vps.Publication) error {
	h, err := n.host()
	if err != nil {
		return err
	}
	defer h.Close()
	return h.CheckPorts(ports)
}

func (n hostNetworks) Publish(ctx context.Context, all []network.Published) error {
	h, err := n.host()
	if err != nil {
		return err
	}
	defer h.Close()
	return h.Publish(ctx, all)
}

func (n hostNetworks) Unpublish(ctx context.Context, p network.Plan) error {
	h, err := n.host()
	if err != nil {
		return err
	}
	defer h.Close()
	return h.Unpublish(ctx, p)
}

func (n hostNetworks) Published(ctx context.Context, p network.Published) (network.PublishedInfo, error) {
	h, err := n.host()
	if err != nil {
		return network.PublishedInfo{}, err
	}
	defer h.Close()
	return h.Published(ctx, p)
}
