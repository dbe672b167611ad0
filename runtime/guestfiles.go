package runtime

import (
	"fmt"
	"net/netip"
	"os"

	"croft/internal/initkind"
	"croft/internal/inside"
	"croft/internal/vps"
	"croft/network"
	"croft/network/guest"
	"croft/runtime/hostfacts"
	"croft/runtime/names"
	"croft/runtime/paths"
	"croft/runtime/tables"
)

// guestInit is what package guest calls an init of kind k, if it knows it.
func guestInit(k initkind.Kind) string {
	switch k {
	case initkind.Busybox:
		return guest.InitBusybox
	case initkind.SysV:
		return guest.InitSysVinit
	case initkind.Runit:
		return guest.InitRunit
	}
	return ""
}

// configureGuest writes the guest's own files: its name, its resolvers, the
// inittab of an init of kind init, and the configuration of its network
// service. What the user wrote is left; only
// the first time are the template's files taken over.
func (m *Manager) configureGuest(v vps.VPS, root *inside.Root, host hostfacts.Facts, init initkind.Kind) error {
	plugs, err := m.networkTables().Plugs(v)
	if err != nil {
		return err
	}
	settings, err := guestSettings(v, plugs, host)
	if err != nil {
		return err
	}
	settings.Init = guestInit(init)
	settings.Hosts = names.HostsFor(v, m.networkTables().All())
	mark := paths.Configured(m.store, v.Name)
	settings.First = !paths.Exists(mark)
	warnings, err := m.guests.Configure(root, v.IDs.First, settings)
	m.warnAll(v.Name, warnings)
	if err != nil {
		return err
	}
	if settings.First {
		if err := os.WriteFile(mark, nil, 0o600); err != nil {
			return fmt.Errorf("note that the guest is configured: %w", err)
		}
	}
	return nil
}

// guestSettings is what the guest's own files should say.
func guestSettings(v vps.VPS, plugs []tables.Plug, host hostfacts.Facts) (guest.Settings, error) {
	s := guest.Settings{Hostname: v.Hostname, Servers: host.Upstreams, Search: host.Search}
	if len(v.DNS.Servers) > 0 {
		s.Servers = nil
		for _, text := range v.DNS.Servers {
			a, err := netip.ParseAddr(text)
			if err != nil {
				return guest.Settings{}, fmt.Errorf("read resolver of %s: %w", v.Name, err)
			}
			s.Servers = append(s.Servers, a)
		}
	}
	if len(v.DNS.Search) > 0 {
		s.Search = v.DNS.Search
	}
	routing := v.Routing
	s.Routing = routing.Any()
	var plans []network.Plan
	for _, p := range plugs {
		plans = append(plans, p.Plan)
	}
	for _, p := range plugs {
		if len(p.Plan.Addresses) == 0 {
			continue // what such a one has the VPS finds out by itself
		}
		s.Interfaces = append(s.Interfaces, guest.Interface{Name: p.Plan.Interface, Addresses: p.Plan.Addresses,
			Gateways: p.Plan.Gateways, Near: p.Plan.Near, MTU: p.Plan.MTU, Routes: network.RoutesOf(routing, p.Plan, plans)})
	}
	return s, nil
}
