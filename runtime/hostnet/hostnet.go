// Package hostnet lets many processes and goroutines use network/host at the same
// time.
package hostnet

import (
	"context"
	"net/netip"
	"time"

	"croft/internal/inside"
	"croft/internal/trace"
	"croft/internal/vps"
	"croft/network"
	"croft/network/host"
)

// Networks changes and reads the host's network. It opens a Host for each operation
// and closes it afterwards: operations run at the same time when many VPSs stop, and
// messages to the kernel that a failed one has queued must not go out with the next.
type Networks struct{ Open func() (*host.Host, error) }

// do calls f with a host whose sockets are closed afterwards.
func (n Networks) do(f func(*host.Host) error) error {
	_, err := with(n, func(h *host.Host) (struct{}, error) { return struct{}{}, f(h) })
	return err
}

// with is do for a function with a result.
func with[T any](n Networks, f func(*host.Host) (T, error)) (result T, err error) {
	h, err := n.Open()
	if err != nil {
		return result, err
	}
	defer h.Close()
	return f(h)
}

func (n Networks) Seed(name string) (network.Seed, error) {
	return with(n, func(h *host.Host) (network.Seed, error) { return h.Seed(name) })
}

func (n Networks) Addresses() ([]netip.Addr, error) {
	return with(n, func(h *host.Host) ([]netip.Addr, error) { return h.Addresses() })
}

func (n Networks) Ensure(ctx context.Context, p network.HostPlan) error {
	defer trace.Span("network: prepare", p.Network)()
	return n.do(func(h *host.Host) error { return h.Ensure(ctx, p) })
}

func (n Networks) EnsureAtStart(ctx context.Context, t network.Table) error {
	defer trace.Span("network: prepare", t.Name)()
	return n.do(func(h *host.Host) error { return h.EnsureAtStart(ctx, t) })
}

func (n Networks) Plug(ctx context.Context, p network.Plan, init inside.Identity) error {
	defer trace.Span("network: plug")()
	return n.do(func(h *host.Host) error { return h.Plug(ctx, p, init) })
}

func (n Networks) Replug(ctx context.Context, p network.Plan, init inside.Identity) (bool, error) {
	return with(n, func(h *host.Host) (bool, error) { return h.Replug(ctx, p, init) })
}

func (n Networks) Join(ctx context.Context, p network.Plan, init inside.Identity) error {
	return n.do(func(h *host.Host) error { return h.Join(ctx, p, init) })
}

func (n Networks) Leave(ctx context.Context, p network.Plan, init inside.Identity) error {
	return n.do(func(h *host.Host) error { return h.Leave(ctx, p, init) })
}

func (n Networks) PinNamespace(p network.Plan, init inside.Identity, path string) error {
	defer trace.Span("network: keep the namespace")()
	return n.do(func(h *host.Host) error { return h.PinNamespace(p, init, path) })
}

func (n Networks) ReturnLink(p network.Plan, path string) error {
	return n.do(func(h *host.Host) error { return h.ReturnLink(p, path) })
}

func (n Networks) Unplug(ctx context.Context, p network.Plan) error {
	defer trace.Span("network: unplug")()
	return n.do(func(h *host.Host) error { return h.Unplug(ctx, p) })
}

func (n Networks) Remove(ctx context.Context, p network.HostPlan) error {
	return n.do(func(h *host.Host) error { return h.Remove(ctx, p) })
}

func (n Networks) Dropped(p network.Plan) (map[network.Reason]uint64, error) {
	return with(n, func(h *host.Host) (map[network.Reason]uint64, error) { return h.Dropped(p) })
}

func (n Networks) Answering(ctx context.Context, link string, addrs []netip.Addr) (map[netip.Addr]string, error) {
	if link == "" {
		return nil, nil
	}
	return with(n, func(h *host.Host) (map[netip.Addr]string, error) { return h.Answering(ctx, link, addrs) })
}

func (n Networks) Traffic(plans []network.Plan) (map[string]network.Traffic, error) {
	return with(n, func(h *host.Host) (map[string]network.Traffic, error) { return h.Traffic(plans) })
}

func (n Networks) SetFirewall(ctx context.Context, f vps.Firewall, init inside.Identity) error {
	defer trace.Span("network: firewall")()
	return n.do(func(h *host.Host) error { return h.SetFirewall(ctx, f, init) })
}

func (n Networks) Firewall(ctx context.Context, name vps.Name, f vps.Firewall, init inside.Identity) (network.FirewallInfo, error) {
	return with(n, func(h *host.Host) (network.FirewallInfo, error) { return h.Firewall(ctx, name, f, init) })
}

func (n Networks) SetRouting(r vps.Routing, interfaces []network.Plan, init inside.Identity) error {
	return n.do(func(h *host.Host) error { return h.SetRouting(r, interfaces, init) })
}

func (n Networks) Routing(name vps.Name, r vps.Routing, interfaces []network.Plan, init inside.Identity) (network.RoutingInfo, error) {
	return with(n, func(h *host.Host) (network.RoutingInfo, error) { return h.Routing(name, r, interfaces, init) })
}

func (n Networks) Readdress(ctx context.Context, was, now network.Plan, init inside.Identity) error {
	return n.do(func(h *host.Host) error { return h.Readdress(ctx, was, now, init) })
}

func (n Networks) SetRates(ctx context.Context, plans []network.Plan) error {
	return n.do(func(h *host.Host) error { return h.SetRates(ctx, plans) })
}

func (n Networks) SetConnections(ctx context.Context, plans []network.Plan) error {
	return n.do(func(h *host.Host) error { return h.SetConnections(ctx, plans) })
}

func (n Networks) ConnectionLimit(p network.Plan) (uint32, error) {
	return with(n, func(h *host.Host) (uint32, error) { return h.ConnectionLimit(p), nil })
}

func (n Networks) Withdraw(was, now network.Plan) error {
	return n.do(func(h *host.Host) error { return h.Withdraw(was, now) })
}

func (n Networks) CheckPorts(ports []vps.Publication) error {
	return n.do(func(h *host.Host) error { return h.CheckPorts(ports) })
}

func (n Networks) Publish(ctx context.Context, all []network.Published) error {
	defer trace.Span("network: publish")()
	return n.do(func(h *host.Host) error { return h.Publish(ctx, all) })
}

func (n Networks) Unpublish(ctx context.Context, p network.Plan) error {
	defer trace.Span("network: unpublish")()
	return n.do(func(h *host.Host) error { return h.Unpublish(ctx, p) })
}

func (n Networks) Published(ctx context.Context, p network.Published) (network.PublishedInfo, error) {
	return with(n, func(h *host.Host) (network.PublishedInfo, error) { return h.Published(ctx, p) })
}

func (Networks) SilentResolvers(ctx context.Context, init inside.Identity, servers []netip.Addr, patience time.Duration) ([]netip.Addr, error) {
	return host.SilentResolvers(ctx, init, servers, patience)
}

func (n Networks) CheckOwnSetup(ctx context.Context, plans []network.Plan, init inside.Identity) error {
	return n.do(func(h *host.Host) error { return h.CheckOwnSetup(ctx, plans, init) })
}

func (n Networks) Sysctls(init inside.Identity) (map[string]string, error) {
	return with(n, func(h *host.Host) (map[string]string, error) { return h.Sysctls(init) })
}

func (n Networks) SetSysctls(all map[string]string, init inside.Identity) ([]string, error) {
	return with(n, func(h *host.Host) ([]string, error) { return h.SetSysctls(all, init) })
}
