package network

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"github.com/google/nftables"
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

func connectionSets() []filterSet {
	return []filterSet{
		{name: setNetworks, types: []string{"ifname"}},
		{name: mapOwners4, types: []string{"ifname", "ipv4_addr"}, verdict: true},
		{name: mapOwners6, types: []string{"ifname", "ipv6_addr"}, verdict: true},
	}
}

func connectionChains() []filterChain {
	return []filterChain{
		{name: "from-vps", hook: "prerouting", priority: connectionPriority, rules: []filterRule{
			do(newConnection(), nfproto("ipv4", 2), leads(iif, ip4Source, mapOwners4)),
			do(newConnection(), nfproto("ipv6", 10), leads(iif, ip6Source, mapOwners6)),
		}},
		{name: "to-vps", hook: "postrouting", priority: connectionPriority, rules: []filterRule{
			do(newConnection(), nfproto("ipv4", 2), leads(oif, ip4Dest, mapOwners4)),
			do(newConnection(), nfproto("ipv6", 10), leads(oif, ip6Dest, mapOwners6)),
		}},
	}
}

func connectionChain(hostLink string) string { return "connections-" + hostLink }

// connectionRules bound what one interface has. The kernel's count leaves out
// TCP connections that are closed, though they keep their place for up to two
// minutes (already_closed, net/netfilter/nf_conncount.c). So the first rule
// bounds how many begin: limit at once, and then limit in each minute. It
// also keeps the second one cheap, which walks a list for each new connection.
func connectionRules(limit uint32) []filterRule {
	return []filterRule{
		do(begunOver(limit), counted(), verdict("drop")),
		do(openOver(limit), counted(), verdict("drop")),
	}
}

// connectionLimit is the bound of p on a host whose table has that many places; 0 is
// none. By default that is an eighth, so that one VPS with its closed
// connections has at most half of the table.
func (p Plan) connectionLimit(places uint64) uint32 {
	switch {
	case p.Connections < 0 || !p.hasPort():
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

// owners are the elements that lead to the interface's chain.
func (p Plan) owners() []element {
	var out []element
	for _, a := range p.own() {
		set := mapOwners4
		if a.Is6() {
			set = mapOwners6
		}
		out = append(out, element{set, fmt.Sprintf("%q . %s : goto %s", p.device(), a, connectionChain(p.HostLink)),
			append(ifname(p.device()), a.AsSlice()...)})
	}
	return out
}

// usualTable is the size of the table in plans as text.
const usualTable = 262144

func (p Plan) connectionsText(line func(string, ...any)) {
	limit := p.connectionLimit(usualTable)
	if limit == 0 {
		return
	}
	if p.Connections == 0 {
		line("# an eighth of net.netfilter.nf_conntrack_max, which is %d here", usualTable)
	}
	chain := connectionChain(p.HostLink)
	line("nft add chain inet %s %s", filterTable, chain)
	for _, r := range connectionRules(limit) {
		line("nft add rule inet %s %s %s", filterTable, chain, r)
	}
	for _, e := range p.owners() {
		line("nft add element inet %s %s { %s }", filterTable, e.set, e.value)
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

// countConnections bounds the connections of a port as p says. What is right
// already is not touched, since a new chain forgets which connections there
// are. An address that led to another interface leads to this one afterwards.
func (h *Host) countConnections(p Plan) error {
	limit := p.connectionLimit(connectionTableSize())
	if limit == 0 {
		return h.uncountConnections(p.HostLink)
	}
	act := "bound the connections of " + p.HostLink
	t := familyInet.table()
	chain := filterChain{name: connectionChain(p.HostLink), rules: connectionRules(limit)}
	same, err := h.chainIsThere(familyInet, chain)
	if err != nil {
		return err
	}
	if !same {
		h.nft.FlushChain(h.nft.AddChain(chain.kernel(t)))
		h.addRules(t, chain)
	}
	want := map[string]bool{}
	for _, e := range p.owners() {
		want[e.set+string(e.key)] = true
	}
	for _, set := range []string{mapOwners4, mapOwners6} {
		there, err := h.nft.GetSetElements(familyInet.set(set))
		if err != nil {
			return classify("list map "+set, err)
		}
		var gone, more []nftables.SetElement
		for _, e := range there {
			mine := leadsTo(e, chain.name)
			switch wanted := want[set+string(e.Key)]; {
			case mine && wanted:
				delete(want, set+string(e.Key))
			case mine || wanted:
				gone = append(gone, ownerElement(e.Key, string(chainOf(e))))
			}
		}
		for _, e := range p.owners() {
			if e.set == set && want[set+string(e.key)] {
				more = append(more, ownerElement(e.key, chain.name))
			}
		}
		if err := h.changeOwners(set, gone, more); err != nil {
			return err
		}
	}
	return classify(act, h.nft.Flush())
}

func (h *Host) changeOwners(set string, gone, more []nftables.SetElement) error {
	m := familyInet.set(set)
	m.IsMap, m.DataType = true, nftables.TypeVerdict
	if len(gone) > 0 {
		if err := h.nft.SetDeleteElements(m, gone); err != nil {
			return classify("change map "+set, err)
		}
	}
	if len(more) > 0 {
		if err := h.nft.SetAddElements(m, more); err != nil {
			return classify("change map "+set, err)
		}
	}
	return nil
}

func ownerElement(key []byte, chain string) nftables.SetElement {
	return nftables.SetElement{Key: key, VerdictData: &expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}}
}

// leadsTo reports whether an element, as the kernel lists it, goes to chain.
func leadsTo(e nftables.SetElement, chain string) bool { return string(chainOf(e)) == chain }

// chainOf is the name of the chain in an element's verdict: NFTA_VERDICT_CHAIN,
// the last of its attributes, padded to four bytes.
func chainOf(e nftables.SetElement) []byte {
	i := bytes.Index(e.Val, []byte("connections-"))
	if i < 0 {
		return nil
	}
	name, _, _ := bytes.Cut(e.Val[i:], []byte{0})
	return name
}

// uncountConnections removes the bound of a link. No-op if there is none.
func (h *Host) uncountConnections(hostLink string) error {
	if there, err := h.tableIsThere(familyInet); err != nil || !there {
		return err
	}
	chain := filterChain{name: connectionChain(hostLink)}
	for _, set := range []string{mapOwners4, mapOwners6} {
		there, err := h.nft.GetSetElements(familyInet.set(set))
		if err != nil {
			return classify("list map "+set, err)
		}
		var gone []nftables.SetElement
		for _, e := range there {
			if leadsTo(e, chain.name) {
				gone = append(gone, ownerElement(e.Key, chain.name))
			}
		}
		if err := h.changeOwners(set, gone, nil); err != nil {
			return err
		}
	}
	// Added first: to delete what is absent is an error.
	h.nft.DelChain(h.nft.AddChain(chain.kernel(familyInet.table())))
	return classify("remove the bound on connections of "+hostLink, h.nft.Flush())
}

// addRefused adds to dropped what the bound on connections has dropped.
func (h *Host) addRefused(hostLink string, dropped map[Reason]uint64) error {
	rules, err := h.nft.GetRules(familyInet.table(), &nftables.Chain{Name: connectionChain(hostLink)})
	if err != nil {
		if isAbsent(err) {
			return nil
		}
		return classify("read counts of refused connections", err)
	}
	for _, r := range rules {
		for _, e := range r.Exprs {
			if c, ok := e.(*expr.Counter); ok && c.Packets > 0 {
				dropped[ReasonConnections] += c.Packets
			}
		}
	}
	return nil
}

// ConnectionLimit is how many connections p may have on this host at once; 0 is
// no bound.
func (h *Host) ConnectionLimit(p Plan) uint32 { return p.connectionLimit(connectionTableSize()) }

// connectionTableSize is net.netfilter.nf_conntrack_max. The kernel has the
// setting once connection tracking is loaded, with the first chain that uses it.
func connectionTableSize() uint64 {
	text, err := readSysctl("net/netfilter/nf_conntrack_max")
	if err != nil {
		return usualTable
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return usualTable
	}
	return n
}

// hasOwners reports whether the port's addresses lead to its chain. Nothing has
// to lead there if it has no bound.
func (p Plan) hasOwners(has map[string]bool) bool {
	if p.Connections < 0 {
		return true
	}
	for _, e := range p.owners() {
		if !has[ownerKey(e.set, e.key, connectionChain(p.HostLink))] {
			return false
		}
	}
	return true
}

func ownerKey(set string, key []byte, chain string) string { return set + string(key) + chain }

// SetConnections bounds the connections of running VPSs as the plans say. A
// link that is missing, or that is not the plan's, is left out. Doing it twice
// changes nothing.
func (h *Host) SetConnections(ctx context.Context, plans []Plan) error {
	for _, p := range plans {
		if err := ctx.Err(); err != nil {
			return classify("bound connections", err)
		}
		if !p.hasPort() {
			continue
		}
		link, err := h.nl.LinkByName(p.HostLink)
		if isNotFound(err) || err == nil && link.Attrs().Alias != p.Alias() {
			continue
		}
		if err != nil {
			return classify("find link "+p.HostLink, err)
		}
		if err := h.countConnections(p); err != nil {
			return err
		}
	}
	return nil
}

// SetConnections makes n the bound of owner's interface: 0 is the default.
func (t *Table) SetConnections(owner, iface string, n int64) error {
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
