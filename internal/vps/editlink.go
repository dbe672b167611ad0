package vps

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"croft/internal/fail"
)

// CheckMAC returns an error for text that is not the MAC of one interface, in the form
// in which net.HardwareAddr writes it.
func CheckMAC(s string) error {
	mac, err := net.ParseMAC(s)
	switch {
	case err != nil || len(mac) != 6 || mac.String() != s:
		return fmt.Errorf("invalid MAC %q (for example 02:00:00:00:00:07)", s)
	case mac[0]&1 != 0, mac.String() == "00:00:00:00:00:00":
		return fmt.Errorf("invalid MAC %q: it is not the address of one interface", s)
	}
	return nil
}

// AddInterface gives the VPS an interface on a network.
type AddInterface struct {
	Network   string
	Name      string       // inside; "" is the first free one of eth0, eth1, ...
	MAC       string       // "" is croft's choice
	Addresses []netip.Addr // of a family without one, the network chooses
}

// Apply adds the interface. A network that the VPS has already is fail.Usage, because a
// second call must not add a second interface silently.
func (e AddInterface) Apply(v *VPS) error {
	for _, i := range v.Interfaces {
		if i.Network == e.Network {
			return fail.New(fail.Usage, "%s has network %s already, with its interface %s", v.Name, e.Network, i.Name)
		}
	}
	name := e.Name
	if name == "" {
		name = v.freeInterface()
	}
	v.Interfaces = append(v.Interfaces, Interface{Name: name, Network: e.Network, MAC: e.MAC, Addresses: slices.Clone(e.Addresses)})
	return nil
}

// freeInterface returns the first name of eth0, eth1, ... that no interface has.
func (v *VPS) freeInterface() string {
	for n := 0; ; n++ {
		name := fmt.Sprintf("eth%d", n)
		if !slices.ContainsFunc(v.Interfaces, func(i Interface) bool { return i.Name == name }) {
			return name
		}
	}
}

// Part is the interfaces.
func (AddInterface) Part() Part { return PartInterfaces }

func (e AddInterface) String() string { return "add network " + e.Text() }

// Text is the edit as a user types it: NETWORK[:OPTION,...].
func (e AddInterface) Text() string {
	var options []string
	if e.Name != "" {
		options = append(options, "name="+e.Name)
	}
	if e.MAC != "" {
		options = append(options, "mac="+e.MAC)
	}
	for _, a := range e.Addresses {
		options = append(options, "ip="+a.String())
	}
	if options == nil {
		return e.Network
	}
	return e.Network + ":" + strings.Join(options, ",")
}

// Attachments returns the edits that give another VPS the interfaces of v, without
// addresses.
func (v VPS) Attachments() []AddInterface {
	var all []AddInterface
	var before VPS
	for _, i := range v.Interfaces {
		e := AddInterface{Network: i.Network, MAC: i.MAC}
		if i.Name != before.freeInterface() {
			e.Name = i.Name
		}
		all = append(all, e)
		before.Interfaces = append(before.Interfaces, i)
	}
	return all
}

// RemoveInterface removes the interface on a network, or the interface of that name,
// with its addresses.
type RemoveInterface struct{ Name string }

// Apply removes the interface. fail.NotFound: the VPS has neither.
func (e RemoveInterface) Apply(v *VPS) error {
	at := slices.IndexFunc(v.Interfaces, func(i Interface) bool { return i.Network == e.Name })
	if at < 0 {
		at = slices.IndexFunc(v.Interfaces, func(i Interface) bool { return i.Name == e.Name })
	}
	if at < 0 {
		return fail.New(fail.NotFound, "%s has no network %s", v.Name, e.Name).WithHint("croft inspect %s", v.Name)
	}
	v.Interfaces = slices.Delete(v.Interfaces, at, at+1)
	return nil
}

// Part is the interfaces.
func (RemoveInterface) Part() Part { return PartInterfaces }

func (e RemoveInterface) String() string { return "remove network " + e.Name }
