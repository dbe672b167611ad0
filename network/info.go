package network

// An Info is a network as `croft network list` and `inspect` show it. Its
// JSON keys are stable.
type Info struct {
	Name     string  `json:"name"`
	Mode     Mode    `json:"mode"`
	Bridge   string  `json:"bridge"`
	MAC      string  `json:"mac"`
	IPv4     string  `json:"ipv4"` // prefix; "" if it has none
	IPv6     string  `json:"ipv6"`
	Gateway4 string  `json:"gateway4"`
	Gateway6 string  `json:"gateway6"`
	MTU      int     `json:"mtu"` // 0 is the kernel's own
	NAT      bool    `json:"nat"`
	Claims   []Claim `json:"claims"`
}

// Info returns what a person or a script wants to know of the network.
func (t Table) Info() Info {
	info := Info{Name: t.Name, Mode: t.Mode, Bridge: t.Bridge, MAC: t.MAC, MTU: t.MTU, NAT: t.NAT, Claims: t.Claims}
	if info.Claims == nil {
		info.Claims = []Claim{}
	}
	if t.IPv4.IsValid() {
		info.IPv4, info.Gateway4 = t.IPv4.String(), t.Gateway4().String()
	}
	if t.IPv6.IsValid() {
		info.IPv6, info.Gateway6 = t.IPv6.String(), t.Gateway6().String()
	}
	return info
}
