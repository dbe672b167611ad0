package vps

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// An Edit is one change of the settings of a VPS, as a value. It is what a command
// line asks for, before croft has read the VPS.
//
// A new setting needs a type with these methods, a check in VPS.Check and, if it
// can change while a VPS runs, a Part with an applier in runtime. If it cannot,
// its Part is "", and it takes effect at the next start.
type Edit interface {
	// Apply changes v. An error says that v cannot be changed so; v may have
	// changed in part then. It does not check the new values: VPS.Check does.
	Apply(v *VPS) error
	// Part is the part of a running VPS that has to follow.
	Part() Part
	// String is the edit in words, for logs and tests.
	String() string
}

// A Part is a group of settings that is applied to a running VPS as a whole, in
// the VPS or on the host around it.
type Part string

// The parts. A setting whose part is "" is only saved.
const (
	PartFirewall    Part = "firewall"
	PartInterfaces  Part = "interfaces"
	PartAddresses   Part = "addresses"
	PartConnections Part = "connections"
	PartRates       Part = "rates"
	PartRouting     Part = "routes"
	PartPublished   Part = "published ports"
	PartLimits      Part = "limits"
	PartDevices     Part = "devices"
	PartGuestFiles  Part = "guest files"
	PartMounts      Part = "mounts"
	PartInside      Part = "files"
	PartDisk        Part = "disk limits"
)

// Edited returns v after all edits, in their order. v does not change. The
// result is valid (Check); if it would not be, or an edit cannot be applied, the
// error says why.
func Edited(v VPS, edits ...Edit) (VPS, error) {
	v = v.Clone()
	for _, e := range edits {
		if err := e.Apply(&v); err != nil {
			return VPS{}, err
		}
	}
	if err := v.Check(); err != nil {
		return VPS{}, err
	}
	return v, nil
}

// Parts returns the parts that the edits are about.
func Parts(edits ...Edit) map[Part]bool {
	parts := map[Part]bool{}
	for _, e := range edits {
		if p := e.Part(); p != "" {
			parts[p] = true
		}
	}
	return parts
}

// Clone returns a copy of v that shares no memory with it.
func (v VPS) Clone() VPS {
	v.Template.Layers, v.Frozen = slices.Clone(v.Template.Layers), slices.Clone(v.Frozen)
	v.Interfaces, v.Detached = cloneInterfaces(v.Interfaces), cloneInterfaces(v.Detached)
	v.DNS = DNS{Servers: slices.Clone(v.DNS.Servers), Search: slices.Clone(v.DNS.Search)}
	v.Firewall.Rules = slices.Clone(v.Firewall.Rules)
	for n := range v.Firewall.Rules {
		r := &v.Firewall.Rules[n]
		r.Ports, r.States = slices.Clone(r.Ports), slices.Clone(r.States)
	}
	v.Limits = v.Limits.clone()
	v.Routing = Routing{Routes: slices.Clone(v.Routing.Routes), Rules: slices.Clone(v.Routing.Rules)}
	v.Published, v.Mounts = slices.Clone(v.Published), slices.Clone(v.Mounts)
	v.Sysctls, v.Labels = maps.Clone(v.Sysctls), maps.Clone(v.Labels)
	v.Allow, v.Env = slices.Clone(v.Allow), slices.Clone(v.Env)
	v.CapAdd, v.CapDrop = slices.Clone(v.CapAdd), slices.Clone(v.CapDrop)
	v.Devices, v.Credentials = slices.Clone(v.Devices), slices.Clone(v.Credentials)
	return v
}

func cloneInterfaces(all []Interface) []Interface {
	all = slices.Clone(all)
	for n := range all {
		i := &all[n]
		i.Addresses, i.Prefixes = slices.Clone(i.Addresses), slices.Clone(i.Prefixes)
	}
	return all
}

// Reapply changes no setting. It makes a running VPS match the saved settings
// again, for example after a rule was removed inside.
type Reapply struct{ What Part }

// Apply changes nothing.
func (Reapply) Apply(*VPS) error { return nil }

// Part is the part to apply.
func (e Reapply) Part() Part { return e.What }

func (e Reapply) String() string { return "apply " + string(e.What) }

// texts are values with spaces between them.
func texts[T fmt.Stringer](all []T) string {
	words := make([]string, len(all))
	for i, x := range all {
		words[i] = x.String()
	}
	return strings.Join(words, ", ")
}
