package network

import "net/netip"

// An Info is a network as `croft network list` and `inspect` show it. Its
// JSON keys are stable.
type Info struct {
	Name     string  `json:"name"`
	Mode     Mode    `json:"mode"`
	Bridge   string  `json:"bridge"`  // "" if the mode has no bridge
	Foreign  bool    `json:"foreign"` // the administrator owns the bridge
	Parent   string  `json:"parent"`  // the uplink, or the link that the VPS gets; "" if there is none
	MAC      string  `json:"mac"`
	IPv4     string  `json:"ipv4"` // prefix; "" if it has none
	IPv6     string  `json:"ipv6"`
	Gateway4 string  `json:"gateway4"`
	Gateway6 string  `json:"gateway6"`
	MTU      int     `json:"mtu"` // 0: the kernel's default
	NAT      bool    `json:"nat"`
	Private  bool    `json:"private"`
	Segment  bool    `json:"segment"`
	Names    bool    `json:"names"` // its VPSs get each other's names
	Claims   []Claim `json:"claims"`
	Error    string  `json:"error,omitempty"` // why croft cannot read the network
}

// ModeBroken is the mode of a network that croft cannot read.
const ModeBroken Mode = "broken"

// Broken describes a network that croft cannot read.
func Broken(name string, why error) Info {
	return Info{Name: name, Mode: ModeBroken, Claims: []Claim{}, Error: why.Error()}
}

// Info describes the network for users and scripts.
func (t Table) Info() Info {
	info := Info{Name: t.Name, Mode: t.Mode, Bridge: t.Bridge, Foreign: t.Foreign, Parent: t.Parent, MAC: t.MAC,
		MTU: t.MTU, NAT: t.NAT, Private: t.Private, Segment: t.Segment, Names: !t.NoNames, Claims: t.Claims}
	if info.Claims == nil {
		info.Claims = []Claim{}
	}
	for _, f := range []struct {
		prefix           netip.Prefix
		gateway          netip.Addr
		to, gatewayWords *string
	}{{t.IPv4, t.Gateway4(), &info.IPv4, &info.Gateway4}, {t.IPv6, t.Gateway6(), &info.IPv6, &info.Gateway6}} {
		if f.prefix.IsValid() {
			*f.to = f.prefix.String()
		}
		if f.gateway.IsValid() {
			*f.gatewayWords = f.gateway.String()
		}
	}
	return info
}

// A Traffic has the counters of an interface since croft connected it, from the
// VPS's point of view. Packets that the filters dropped count as sent, and
// again in Dropped, by reason.
type Traffic struct {
	ReceivedBytes, ReceivedPackets uint64
	SentBytes, SentPackets         uint64
	Dropped                        map[Reason]uint64
}
