package foreign

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"croft/internal/vps"
)

// A Network is a network of this host.
type Network struct {
	Name     string
	Bridge   string // the interface of the host
	Prefixes []netip.Prefix
	Taken    func(a netip.Addr) error // why an address of the network cannot be given; nil: it can
	HasMAC   func(mac string) bool    // another owner has the MAC
}

// A Host is what this host has for the interfaces of a VPS.
type Host struct {
	Networks []Network
	Default  string // the network of VPSs that name none
	// Chosen are the networks that the user has chosen for the interfaces, instead of
	// those that are like the ones of the container; nil: none are chosen. A chosen network
	// is one of Networks, except for the word for none.
	Chosen []vps.AddInterface
	None   string // the word for no network
}

// Settings returns the settings of the VPS name on a host: those of s, with interfaces.
// More gets what the VPS does not have there.
func (s System) Settings(name vps.Name, h Host) (v vps.VPS, more []Left) {
	v = s.VPS.Clone()
	v.Name = name
	if v.Hostname == "" {
		v.Hostname = string(name)
	}
	f := fitting{host: h, vps: &v, system: s}
	f.interfaces()
	if len(v.Interfaces) == 0 {
		for _, p := range v.Published {
			f.left("published port", p.String(), "the VPS has no network")
		}
		v.Published = nil
	}
	return v, f.more
}

type fitting struct {
	host   Host
	vps    *vps.VPS
	system System
	more   []Left
}

func (f *fitting) left(key, value, reason string) {
	f.more = append(f.more, Left{clean(key), clean(value), clean(reason)})
}

// interfaces gives the VPS an interface for each of the container that has a network here.
func (f *fitting) interfaces() {
	nics := f.system.NICs
	if f.system.HostNetwork {
		f.left("network", "host", "a VPS has interfaces of its own; its ports are reached by --publish")
		nics = []NIC{{Key: "network"}}
	}
	if len(f.host.Chosen) == 1 && f.host.Chosen[0].Network == f.host.None {
		return
	}
	for n := range max(len(nics), len(f.host.Chosen)) {
		var nic NIC
		if n < len(nics) {
			nic = nics[n]
		}
		network, ok := f.networkFor(n, nic)
		if !ok {
			f.left(nic.Key, nic.describe(), "no other network here is like it; --network adds one")
			continue
		}
		f.plug(nic, network, f.chosen(n))
	}
}

// chosen is what the user said about the n-th interface.
func (f *fitting) chosen(n int) vps.AddInterface {
	if n < len(f.host.Chosen) {
		return f.host.Chosen[n]
	}
	return vps.AddInterface{}
}

// networkFor returns the network of the n-th interface: the one that was chosen, the one of
// that name or bridge, or the default one. No network is used twice.
func (f *fitting) networkFor(n int, nic NIC) (Network, bool) {
	if f.host.Chosen != nil {
		return f.network(func(w Network) bool { return w.Name == f.chosen(n).Network })
	}
	if w, ok := f.network(func(w Network) bool { return nic.Bridge != "" && (w.Name == nic.Bridge || w.Bridge == nic.Bridge) }); ok {
		return w, true
	}
	return f.network(func(w Network) bool { return w.Name == f.host.Default })
}

func (f *fitting) network(is func(Network) bool) (Network, bool) {
	at := slices.IndexFunc(f.host.Networks, func(w Network) bool {
		used := slices.ContainsFunc(f.vps.Interfaces, func(i vps.Interface) bool { return i.Network == w.Name })
		return !used && is(w)
	})
	if at < 0 {
		return Network{}, false
	}
	return f.host.Networks[at], true
}

// plug adds the interface that nic becomes on the network w.
func (f *fitting) plug(nic NIC, w Network, chosen vps.AddInterface) {
	add := vps.AddInterface{Network: w.Name, Name: chosen.Name, MAC: chosen.MAC}
	if add.Name == "" && strings.HasPrefix(nic.Name, "eth") && vps.CheckLinkName(nic.Name) == nil {
		add.Name = nic.Name
	}
	if add.MAC == "" && nic.MAC != "" {
		if w.HasMAC != nil && w.HasMAC(nic.MAC) {
			f.left(nic.Key, nic.MAC, "another owner has this MAC in the network "+w.Name)
		} else {
			add.MAC = nic.MAC
		}
	}
	v, err := vps.Edited(*f.vps, add)
	if err != nil {
		f.left(nic.Key, nic.describe(), err.Error())
		return
	}
	*f.vps = v
	i := &f.vps.Interfaces[len(f.vps.Interfaces)-1]
	i.Prefixes = w.Prefixes
	if nic.Rate.Check() == nil {
		i.Rate = nic.Rate
	} else {
		f.left(nic.Key, fmt.Sprintf("%d bits per second", max(nic.Rate.In, nic.Rate.Out)), nic.Rate.Check().Error())
	}
	for _, p := range nic.Addresses {
		a := p.Addr()
		var taken error
		if w.Taken != nil {
			taken = w.Taken(a)
		}
		switch {
		case len(w.Prefixes) == 0:
			f.left(nic.Key, a.String(), "the network "+w.Name+" has no addresses yet; the VPS gets a free one")
		case !slices.ContainsFunc(w.Prefixes, func(own netip.Prefix) bool { return own.Contains(a) }):
			f.left(nic.Key, a.String(), fmt.Sprintf("it is not an address of the network %s (%s); the VPS gets a free one", w.Name, prefixes(w.Prefixes)))
		case taken != nil:
			f.left(nic.Key, a.String(), taken.Error()+"; the VPS gets a free one")
		case !slices.Contains(i.Addresses, a):
			i.Addresses = append(i.Addresses, a)
		}
	}
}

func prefixes(all []netip.Prefix) string {
	var texts []string
	for _, p := range all {
		texts = append(texts, p.Masked().String())
	}
	return strings.Join(texts, ", ")
}

// describe is a NIC in a few words.
func (n NIC) describe() string {
	var words []string
	for _, word := range []string{n.Name, n.Bridge, n.MAC} {
		if word != "" {
			words = append(words, word)
		}
	}
	for _, a := range n.Addresses {
		words = append(words, a.Addr().String())
	}
	return strings.Join(words, " ")
}
