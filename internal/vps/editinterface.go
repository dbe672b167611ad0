package vps

import (
	"fmt"
	"net/netip"
	"slices"

	"croft/internal/fail"
)

// SetRate limits what interfaces carry, in bits per second; 0 is unlimited. A nil
// direction does not change.
type SetRate struct {
	Interface string  // "" is every interface
	In        *uint64 // to the VPS
	Out       *uint64 // from the VPS
}

// Apply sets the rates. An interface that the VPS does not have is fail.NotFound.
func (e SetRate) Apply(v *VPS) error {
	found := false
	for n := range v.Interfaces {
		i := &v.Interfaces[n]
		if e.Interface != "" && e.Interface != i.Name {
			continue
		}
		found = true
		if e.In != nil {
			i.Rate.In = *e.In
		}
		if e.Out != nil {
			i.Rate.Out = *e.Out
		}
	}
	switch {
	case found:
		return nil
	case e.Interface == "":
		return noNetwork(v)
	}
	_, err := v.interfaceNamed(e.Interface)
	return err
}

// Part is the rates.
func (SetRate) Part() Part { return PartRates }

func (e SetRate) String() string {
	text := "rate"
	if e.Interface != "" {
		text += " " + e.Interface
	}
	for _, d := range []struct {
		name string
		bits *uint64
	}{{"in", e.In}, {"out", e.Out}} {
		if d.bits != nil {
			text += fmt.Sprintf(" %s=%d", d.name, *d.bits)
		}
	}
	return text
}

func noNetwork(v *VPS) error { return fail.New(fail.State, "%s has no network", v.Name) }

// AddAddress gives an address to an interface: to that of the name, or without one to
// the first interface whose network contains the address. An address that the
// interface has already is a no-op. If no network contains the address, the first
// interface gets it, and its network rejects it.
type AddAddress struct {
	Interface string // "" is any
	Address   netip.Addr
}

// Apply adds the address. A VPS without an interface is fail.State, one without this
// interface fail.NotFound.
func (e AddAddress) Apply(v *VPS) error {
	at, err := v.interfaceOf(e)
	if err != nil {
		return err
	}
	i, a := &v.Interfaces[at], e.Address.Unmap()
	if !slices.Contains(i.Addresses, a) {
		i.Addresses = append(i.Addresses, a)
	}
	return nil
}

// interfaceOf returns the number of the interface that gets an address. Errors are
// those of Apply.
func (v *VPS) interfaceOf(e AddAddress) (int, error) {
	if len(v.Interfaces) == 0 {
		return 0, noNetwork(v)
	}
	if e.Interface == "" {
		return v.AddressInterface(e.Address), nil
	}
	return v.interfaceNamed(e.Interface)
}

// AddressInterface returns the number of the interface that gets an address which is
// for no particular one.
func (v *VPS) AddressInterface(a netip.Addr) int {
	return max(0, slices.IndexFunc(v.Interfaces, func(i Interface) bool {
		return slices.ContainsFunc(i.Prefixes, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
	}))
}

func (v *VPS) interfaceNamed(name string) (int, error) {
	at := slices.IndexFunc(v.Interfaces, func(i Interface) bool { return i.Name == name })
	if at < 0 {
		return 0, fail.New(fail.NotFound, "%s has no interface %s", v.Name, name).WithHint("croft inspect %s", v.Name)
	}
	return at, nil
}

// Part is the addresses.
func (AddAddress) Part() Part { return PartAddresses }

func (e AddAddress) String() string { return "add address " + e.Text() }

// Text is the address as a user types it: ADDRESS or INTERFACE:ADDRESS.
func (e AddAddress) Text() string { return addressText(e.Interface, e.Address) }

func addressText(iface string, a netip.Addr) string {
	if iface == "" {
		return a.String()
	}
	return iface + ":" + a.String()
}

// RemoveAddress takes an address from the interface that has it. With an interface it
// must be that one.
type RemoveAddress struct {
	Interface string // "" is any
	Address   netip.Addr
}

// Apply removes the address. An address that the VPS or the interface does not have
// is fail.NotFound, a VPS without an interface fail.State.
func (e RemoveAddress) Apply(v *VPS) error {
	if len(v.Interfaces) == 0 {
		return noNetwork(v)
	}
	if e.Interface != "" {
		if _, err := v.interfaceNamed(e.Interface); err != nil {
			return err
		}
	}
	a := e.Address.Unmap()
	for n := range v.Interfaces {
		i := &v.Interfaces[n]
		if at := slices.Index(i.Addresses, a); at >= 0 && (e.Interface == "" || e.Interface == i.Name) {
			i.Addresses = slices.Delete(i.Addresses, at, at+1)
			return nil
		}
	}
	if e.Interface != "" {
		return fail.New(fail.NotFound, "%s of %s has no address %s", e.Interface, v.Name, a)
	}
	return fail.New(fail.NotFound, "%s has no address %s", v.Name, a)
}

// Part is the addresses.
func (RemoveAddress) Part() Part { return PartAddresses }

func (e RemoveAddress) String() string {
	return "remove address " + addressText(e.Interface, e.Address)
}

// SetConnections limits the connections of each interface in the host's
// connection table: a number, UnlimitedConnections or DefaultConnections.
type SetConnections struct{ Limit int64 }

// Apply sets the limit. fail.State: the host tracks the connections of no
// interface.
func (e SetConnections) Apply(v *VPS) error {
	if err := CheckConnections(e.Limit); err != nil {
		return err // an invalid value is reported first
	}
	found := false
	for n := range v.Interfaces {
		if i := &v.Interfaces[n]; i.Tracked {
			i.Connections, found = e.Limit, true
		}
	}
	if !found {
		return fail.New(fail.State, "%s has no interface whose connections the host tracks: --connections has no effect there", v.Name)
	}
	return nil
}

// Part is the connections.
func (SetConnections) Part() Part { return PartConnections }

func (e SetConnections) String() string { return fmt.Sprintf("connections %d", e.Limit) }
