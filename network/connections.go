package network

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/google/nftables/expr"

	"croft/internal/vps"
)

// The host tracks every connection that it routes, in one table with
// net.netfilter.nf_conntrack_max places (Linux: Documentation/networking/
// nf_conntrack-sysctl.rst). An established connection keeps its place for five
// days, so two VPSs that agree could take every place within a minute. A third
// table of filters, of the family inet, bounds the share of each interface. It
// sees packets behind connection tracking, which the family bridge does not
// have.
//
// A new connection is looked up by its source when it comes in, and by its
// destination, behind every translation, when it goes out. The filters of
// filter.go have checked the source by then. Both lead to the chain of one
// interface.

// connectionPriority is just behind connection tracking (-200) and before all
// that other tools do with connections.
const connectionPriority = -190

func connectionSets() []FilterSet {
	return []FilterSet{
		{Name: SetNetworks, Types: []string{"ifname"}},
		{Name: MapOwners4, Types: []string{"ifname", "ipv4_addr"}, Verdict: true},
		{Name: MapOwners6, Types: []string{"ifname", "ipv6_addr"}, Verdict: true},
	}
}

func connectionChains() []FilterChain {
	return []FilterChain{
		{Name: "from-vps", Hook: "prerouting", priority: connectionPriority, Rules: []FilterRule{
			do(newConnection(), nfproto("ipv4", 2), leads(iif, ip4Source, MapOwners4)),
			do(newConnection(), nfproto("ipv6", 10), leads(iif, ip6Source, MapOwners6)),
		}},
		{Name: "to-vps", Hook: "postrouting", priority: connectionPriority, Rules: []FilterRule{
			do(newConnection(), nfproto("ipv4", 2), leads(oif, ip4Dest, MapOwners4)),
			do(newConnection(), nfproto("ipv6", 10), leads(oif, ip6Dest, MapOwners6)),
		}},
	}
}

// ConnectionChain returns the name of the chain that limits the connections of a link.
func ConnectionChain(hostLink string) string { return "connections-" + hostLink }

// ConnectionRules bound what one interface has. The kernel's count leaves out
// TCP connections that are closed, though they keep their place for up to two
// minutes (already_closed, net/netfilter/nf_conncount.c). So the first rule
// bounds how many begin: limit at once, and then limit in each minute. It
// also keeps the second one cheap, which walks a list for each new connection.
// Without a limit nothing leads to the chain. It has a rule then too, because the
// rules in it tell that the filters have entries of the interface.
func ConnectionRules(limit uint32) []FilterRule {
	if limit == 0 {
		return []FilterRule{do(verdict("return"))}
	}
	return []FilterRule{
		do(begunOver(limit), counted(), verdict("drop")),
		do(openOver(limit), counted(), verdict("drop")),
	}
}

// ConnectionLimit returns the limit of p on a host whose table has that many
// places; 0 means no limit. The default is an eighth of the places. So one VPS
// with its closed connections has at most half of the table.
func (p Plan) ConnectionLimit(places uint64) uint32 {
	switch {
	case p.Connections < 0 || !p.HasPort():
		return 0
	case p.Connections > 0:
		return uint32(min(p.Connections, vps.MostConnections))
	}
	return uint32(min(max(places/8, vps.LeastConnections), vps.MostConnections))
}

// device is where packets of the interface enter and leave the host's routing.
func (p Plan) device() string {
	if p.Bridge != "" {
		return p.Bridge
	}
	return p.HostLink
}

// Owners returns the elements that lead to the interface's chain.
func (p Plan) Owners() []FilterElement {
	var out []FilterElement
	for _, a := range p.OwnAddresses() {
		set := MapOwners4
		if a.Is6() {
			set = MapOwners6
		}
		out = append(out, FilterElement{set, fmt.Sprintf("%q . %s : goto %s", p.device(), a, ConnectionChain(p.HostLink)),
			append(InterfaceKey(p.device()), a.AsSlice()...)})
	}
	return out
}

// usualTable is the size of the table in plans as text.
const UsualConnectionTable = 262144

func (p Plan) connectionsText(line func(string, ...any)) {
	if !p.HasPort() {
		return
	}
	limit := p.ConnectionLimit(UsualConnectionTable)
	if p.Connections == 0 {
		line("# an eighth of net.netfilter.nf_conntrack_max, which is %d here", UsualConnectionTable)
	}
	chain := ConnectionChain(p.HostLink)
	line("nft add chain inet %s %s", FilterTable, chain)
	for _, r := range ConnectionRules(limit) {
		line("nft add rule inet %s %s %s", FilterTable, chain, r)
	}
	if limit == 0 {
		return
	}
	for _, e := range p.Owners() {
		line("nft add element inet %s %s { %s }", FilterTable, e.Set, e.value)
	}
}

// newConnection matches packets that begin a connection.
func newConnection() part {
	const stateNew = 8 // NF_CT_STATE_BIT(IP_CT_NEW), linux/netfilter/nf_conntrack_common.h
	mask := make([]byte, 4)
	binary.NativeEndian.PutUint32(mask, stateNew)
	return part{"ct state new", []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: regName},
		&expr.Bitwise{SourceRegister: regName, DestRegister: regName, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: regName, Data: make([]byte, 4)},
	}}
}

func nfproto(word string, number byte) part {
	return part{"meta nfproto " + word, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: regName}, equal([]byte{number})}}
}

// leads goes where the map says for the link and the field's value.
func leads(l link, f field, to string) part {
	return part{fmt.Sprintf("%s . %s vmap @%s", l.text, f.text, to), []expr.Any{
		&expr.Meta{Key: l.key, Register: regName},
		load(f, regValue),
		&expr.Lookup{SourceRegister: regName, SetName: to, IsDestRegSet: true}, // NFT_REG_VERDICT
	}}
}

func begunOver(limit uint32) part {
	return part{fmt.Sprintf("limit rate over %d/minute burst %[1]d packets", limit), []expr.Any{
		&expr.Limit{Type: expr.LimitTypePkts, Rate: uint64(limit), Over: true, Unit: expr.LimitTimeMinute, Burst: limit},
	}}
}

func openOver(limit uint32) part {
	return part{fmt.Sprintf("ct count over %d", limit), []expr.Any{
		&expr.Connlimit{Count: limit, Flags: expr.NFT_CONNLIMIT_F_INV}}}
}

func counted() part { return part{"counter", []expr.Any{&expr.Counter{}}} }

// HasOwners reports whether the chain of the port is there, and the port's addresses lead
// to it. Nothing has to lead there without a limit.
func (p Plan) HasOwners(has map[string]bool) bool {
	chain := ConnectionChain(p.HostLink)
	if p.Connections < 0 {
		return has[ChainKey(chain)]
	}
	for _, e := range p.Owners() {
		if !has[OwnerKey(e.Set, e.Key, chain)] {
			return false
		}
	}
	return true
}

// ChainKey identifies a chain of a filter table.
func ChainKey(name string) string { return "chain " + name }

// OwnerKey identifies an element of an owners map by its set, its key and its chain.
func OwnerKey(set string, key []byte, chain string) string { return set + string(key) + chain }

// SetConnections makes n the bound of owner's interface: 0 is the default.
func (t *Table) SetConnections(owner vps.Name, iface string, n int64) error {
	if err := vps.CheckConnections(n); err != nil {
		return err
	}
	i, err := t.claim(owner, iface)
	if err != nil {
		return err
	}
	t.Claims = slices.Clone(t.Claims)
	t.Claims[i].Connections = n
	return nil
}
