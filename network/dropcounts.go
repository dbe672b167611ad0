package network

import "strconv"

// A DropCount is where the kernel counts packets of one link that croft's filters have
// dropped for one reason.
type DropCount struct {
	Family  uint8  // NFPROTO_BRIDGE, NFPROTO_NETDEV or NFPROTO_INET (linux/netfilter.h)
	Name    string // of a set with an element for Link, or of a chain if Link is ""
	Link    string // on the host
	Message string // for the kernel messages of the VPS; the number follows
}

// String returns c as package holder reads it.
func (c DropCount) String() string {
	return strconv.Itoa(int(c.Family)) + "\t" + FilterTable + "\t" + c.Name + "\t" + c.Link + "\t" + c.Message
}

// DropCounts returns the counts of an interface, in the order of Reasons.
func (p Plan) DropCounts() []DropCount {
	const inet, netdev, bridge = 1, 5, 7
	if !p.HasPort() {
		return nil
	}
	family := uint8(bridge)
	if p.Family() == FamilyNetdev {
		family = netdev
	}
	message := func(why string) string {
		return "croft: " + p.Interface + ": packets dropped by the filter of the host, " + why + ": "
	}
	var all []DropCount
	for _, r := range Reasons() {
		all = append(all, DropCount{family, DropSet(r), p.HostLink, message(whyDropped(r))})
	}
	return append(all, DropCount{inet, ConnectionChain(p.HostLink), "", message(whyDropped(ReasonConnections))})
}

// whyDropped says what a reason is to a user inside.
func whyDropped(r Reason) string {
	return map[Reason]string{
		ReasonMAC:         "whose source MAC address is not that of the VPS",
		ReasonEtherType:   "which are not ARP, IPv4 or IPv6, or are for a reserved group",
		ReasonARP:         "which are ARP with a wrong sender",
		ReasonSource:      "whose source address is not that of the VPS",
		ReasonNeighbour:   "which are neighbour discovery with a wrong address",
		ReasonRouter:      "which only a router sends",
		ReasonDHCP:        "which only a DHCP server sends",
		ReasonLoopback:    "which are for 127.0.0.0/8",
		ReasonHeaders:     "whose headers or fragments hide the protocol",
		ReasonConnections: "which are above the limit of connections",
	}[r]
}
