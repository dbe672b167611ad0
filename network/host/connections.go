package host

import (
	"bytes"
	"context"
	"strconv"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"croft/network"
)

// countConnections bounds the connections of a port as p says. What is right
// already is not touched, since a new chain forgets which connections there
// are. An address that led to another interface leads to this one afterwards.
func (h *Host) countConnections(p network.Plan) error {
	limit := h.ConnectionLimit(p)
	chain := connectionChain(p, limit)
	same, err := h.chainIsThere(network.FamilyInet, chain)
	if err != nil {
		return err
	}
	if !same {
		h.queueConnectionChain(p)
	}
	want := map[string]bool{}
	if limit > 0 {
		for _, e := range p.Owners() {
			want[e.Set+string(e.Key)] = true
		}
	}
	for _, set := range []string{network.MapOwners4, network.MapOwners6} {
		there, err := h.nft.GetSetElements(kernelSet(network.FamilyInet, set))
		if err != nil {
			return classify("list map "+set, err)
		}
		var gone, more []nftables.SetElement
		for _, e := range there {
			mine := leadsTo(e, chain.Name)
			switch wanted := want[set+string(e.Key)]; {
			case mine && wanted:
				delete(want, set+string(e.Key))
			case mine || wanted:
				gone = append(gone, ownerElement(e.Key, string(chainOf(e))))
			}
		}
		for _, e := range p.Owners() {
			if e.Set == set && want[set+string(e.Key)] {
				more = append(more, ownerElement(e.Key, chain.Name))
			}
		}
		if err := h.changeOwners(set, gone, more); err != nil {
			return err
		}
	}
	return classify("bound the connections of "+p.HostLink, h.nft.Flush())
}

// connectionChain is the chain that limits the connections of p.
func connectionChain(p network.Plan, limit uint32) network.FilterChain {
	return network.FilterChain{Name: network.ConnectionChain(p.HostLink), Rules: network.ConnectionRules(limit)}
}

// queueConnectionChain has the next step create the chain that limits the connections of
// p, or give an existing one its rules.
func (h *Host) queueConnectionChain(p network.Plan) {
	t, chain := kernelTable(network.FamilyInet), connectionChain(p, h.ConnectionLimit(p))
	h.nft.FlushChain(h.nft.AddChain(chainIn(t, chain)))
	h.addRules(t, chain)
}

func (h *Host) changeOwners(set string, gone, more []nftables.SetElement) error {
	m := kernelSet(network.FamilyInet, set)
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

// queueConnectionsOff has the next step remove the chain of a link, and what leads there.
func (h *Host) queueConnectionsOff(hostLink string) error {
	chain := network.FilterChain{Name: network.ConnectionChain(hostLink)}
	for _, set := range []string{network.MapOwners4, network.MapOwners6} {
		there, err := h.nft.GetSetElements(kernelSet(network.FamilyInet, set))
		if err != nil {
			return classify("list map "+set, err)
		}
		var gone []nftables.SetElement
		for _, e := range there {
			if leadsTo(e, chain.Name) {
				gone = append(gone, ownerElement(e.Key, chain.Name))
			}
		}
		if err := h.changeOwners(set, gone, nil); err != nil {
			return err
		}
	}
	// added first, because deleting a missing chain is an error
	h.nft.DelChain(h.nft.AddChain(chainIn(kernelTable(network.FamilyInet), chain)))
	return nil
}

// addRefused adds the packets that the bound on connections dropped.
func (h *Host) addRefused(hostLink string, dropped map[network.Reason]uint64) error {
	rules, err := h.nft.GetRules(kernelTable(network.FamilyInet), &nftables.Chain{Name: network.ConnectionChain(hostLink)})
	if err != nil {
		if isAbsent(err) {
			return nil
		}
		return classify("read counts of refused connections", err)
	}
	for _, r := range rules {
		for _, e := range r.Exprs {
			if c, ok := e.(*expr.Counter); ok && c.Packets > 0 {
				dropped[network.ReasonConnections] += c.Packets
			}
		}
	}
	return nil
}

// ConnectionLimit is how many connections p may have on this host at once; 0 is
// no bound.
func (h *Host) ConnectionLimit(p network.Plan) uint32 {
	return p.ConnectionLimit(connectionTableSize())
}

// connectionTableSize is net.netfilter.nf_conntrack_max. The kernel has the
// setting once connection tracking is loaded, with the first chain that uses it.
func connectionTableSize() uint64 {
	text, err := readSysctl("net/netfilter/nf_conntrack_max")
	if err != nil {
		return network.UsualConnectionTable
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return network.UsualConnectionTable
	}
	return n
}

// SetConnections bounds the connections of running VPSs as the plans say. A
// link that is missing, or that is not the plan's, is left out. Doing it twice
// changes nothing.
func (h *Host) SetConnections(ctx context.Context, plans []network.Plan) error {
	for _, p := range plans {
		if err := ctx.Err(); err != nil {
			return classify("bound connections", err)
		}
		if !p.HasPort() {
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
