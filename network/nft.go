package network

import (
	"bytes"
	"context"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/userdata"
)

func table() *nftables.Table {
	return &nftables.Table{Name: filterTable, Family: nftables.TableFamilyBridge}
}

func setNamed(name string) *nftables.Set {
	return &nftables.Set{Table: table(), Name: name}
}

// ensureFilter makes the table if anything of it is missing or different. The
// batch that does so leaves elements alone and may be sent twice: the kernel
// applies each as a whole, and there is no instant without rules.
func (h *Host) ensureFilter(_ context.Context, p HostPlan) error {
	same, err := h.filterIsThere(p)
	if err != nil || same {
		return err
	}
	unlock, err := h.lock() // against who takes the table away
	if err != nil {
		return err
	}
	defer unlock()
	t := h.nft.AddTable(table())
	for _, s := range filterSets() {
		if err := h.nft.AddSet(s.kernel(t), nil); err != nil {
			return classify("make set "+s.name, err)
		}
	}
	for _, c := range filterChains() {
		chain := h.nft.AddChain(c.kernel(t))
		h.nft.FlushChain(chain)
	}
	for _, c := range filterChains() {
		for _, r := range c.rules {
			h.nft.AddRule(&nftables.Rule{Table: t, Chain: &nftables.Chain{Name: c.name, Table: t}, Exprs: r.exprs(),
				UserData: userdata.AppendString(nil, userdata.TypeComment, r.mark())})
		}
	}
	if err := h.nft.SetAddElements(setNamed(setNetworks), networkElement(p)); err != nil {
		return classify("enter network", err)
	}
	return classify("set filters (nftables, family bridge)", h.nft.Flush())
}

func (s filterSet) kernel(t *nftables.Table) *nftables.Set {
	types := make([]nftables.SetDatatype, len(s.types))
	for i, name := range s.types {
		switch name {
		case "ifname":
			types[i] = nftables.TypeIFName
		case "ether_addr":
			types[i] = nftables.TypeEtherAddr
		case "ipv4_addr":
			types[i] = nftables.TypeIPAddr
		case "ipv6_addr":
			types[i] = nftables.TypeIP6Addr
		}
	}
	set := &nftables.Set{Table: t, Name: s.name, KeyType: types[0], Dynamic: s.dynamic,
		KeyByteOrder: binaryutil.NativeEndian} // so that nft(8) prints names of links
	if len(types) > 1 {
		set.KeyType = nftables.MustConcatSetType(types...) // two known types
		set.Concatenation = true
	}
	if s.dynamic {
		set.Size = dropSetSize
	}
	return set
}

func (c filterChain) kernel(t *nftables.Table) *nftables.Chain {
	chain := &nftables.Chain{Name: c.name, Table: t}
	hooks := map[string]*nftables.ChainHook{
		"prerouting":  nftables.ChainHookPrerouting,
		"input":       nftables.ChainHookInput,
		"postrouting": nftables.ChainHookPostrouting,
	}
	if c.hook == "" {
		return chain
	}
	accept := nftables.ChainPolicyAccept // for ports that are not ours
	chain.Type, chain.Policy = nftables.ChainTypeFilter, &accept
	chain.Hooknum, chain.Priority = hooks[c.hook], nftables.ChainPriorityRef(hookPriority)
	return chain
}

func networkElement(p HostPlan) []nftables.SetElement {
	return []nftables.SetElement{{Key: ifname(p.Bridge)}}
}

// filterIsThere compares the marks of all rules, and looks for the sets and
// for the network's own entry.
func (h *Host) filterIsThere(p HostPlan) (bool, error) {
	if there, err := h.tableIsThere(); err != nil || !there {
		return false, err
	}
	sets, err := h.nft.GetSets(table())
	if err != nil {
		return false, classify("list sets of filters", err)
	}
	for _, want := range filterSets() {
		if !slices.ContainsFunc(sets, func(s *nftables.Set) bool { return s.Name == want.name }) {
			return false, nil
		}
	}
	for _, c := range filterChains() {
		rules, err := h.nft.GetRules(table(), &nftables.Chain{Name: c.name})
		if err != nil {
			return false, classify("list rules of filters", err)
		}
		if !slices.Equal(marksOf(rules), c.marks()) {
			return false, nil
		}
	}
	elements, err := h.nft.GetSetElements(setNamed(setNetworks))
	if err != nil {
		return false, classify("list networks of filters", err)
	}
	return slices.ContainsFunc(elements, func(e nftables.SetElement) bool {
		return bytes.Equal(e.Key, ifname(p.Bridge))
	}), nil
}

func marksOf(rules []*nftables.Rule) []string {
	var out []string
	for _, r := range rules {
		mark, _ := userdata.GetString(r.UserData, userdata.TypeComment)
		out = append(out, mark)
	}
	return out
}

func (c filterChain) marks() []string {
	var out []string
	for _, r := range c.rules {
		out = append(out, r.mark())
	}
	return out
}

func (h *Host) tableIsThere() (bool, error) {
	tables, err := h.nft.ListTablesOfFamily(nftables.TableFamilyBridge)
	if err != nil {
		return false, classify("list tables of filters", err)
	}
	return slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == filterTable }), nil
}

// removeFilter takes the network's entry out, and the table if none is left.
// The caller holds the lock.
func (h *Host) removeFilter(p HostPlan) error {
	if there, err := h.tableIsThere(); err != nil || !there {
		return err
	}
	elements, err := h.nft.GetSetElements(setNamed(setNetworks))
	if err != nil {
		return classify("list networks of filters", err)
	}
	others := slices.ContainsFunc(elements, func(e nftables.SetElement) bool {
		return !bytes.Equal(e.Key, ifname(p.Bridge))
	})
	if !others {
		h.nft.DelTable(table())
		return classify("remove filters", h.nft.Flush())
	}
	return h.deleteElements(map[string][]nftables.SetElement{setNetworks: networkElement(p)})
}

// admit lets the link of p use what is p's.
func (h *Host) admit(p Plan) error {
	bySet := map[string][]nftables.SetElement{}
	for _, e := range p.elements() {
		bySet[e.set] = append(bySet[e.set], nftables.SetElement{Key: e.key})
	}
	for name, elements := range bySet {
		if err := h.nft.SetAddElements(setNamed(name), elements); err != nil {
			return classify("add filters of "+p.HostLink, err)
		}
	}
	return classify("add filters of "+p.HostLink, h.nft.Flush())
}

// dismiss removes every element of the link, whatever it says, and its
// counts: also those of addresses that it had once. Absent is success.
func (h *Host) dismiss(hostLink string) error {
	if there, err := h.tableIsThere(); err != nil || !there {
		return err
	}
	found := map[string][]nftables.SetElement{}
	for _, r := range reasons() {
		found[dropSet(r)] = []nftables.SetElement{{Key: ifname(hostLink)}}
	}
	for _, set := range []string{setMAC, setIPv4, setIPv6} {
		elements, err := h.nft.GetSetElements(setNamed(set))
		if err != nil {
			return classify("list set "+set, err)
		}
		for _, e := range elements {
			if bytes.HasPrefix(e.Key, ifname(hostLink)) {
				found[set] = append(found[set], nftables.SetElement{Key: e.Key})
			}
		}
	}
	return h.deleteElements(found)
}

// deleteElements adds each element before it deletes it, in one batch, since
// deleting what is absent fails and somebody else may be deleting it too.
func (h *Host) deleteElements(bySet map[string][]nftables.SetElement) error {
	for name, elements := range bySet {
		if err := h.nft.SetAddElements(setNamed(name), elements); err != nil {
			return classify("remove filters", err)
		}
		if err := h.nft.SetDeleteElements(setNamed(name), elements); err != nil {
			return classify("remove filters", err)
		}
	}
	return classify("remove filters", h.nft.Flush())
}

// Dropped returns how many frames from p's VPS were dropped at its port since
// it was plugged in, by reason. Reasons without a drop are left out.
func (h *Host) Dropped(p Plan) (map[Reason]uint64, error) {
	if p.Mode == ModeNone {
		return map[Reason]uint64{}, nil
	}
	all, err := h.dropped()
	if err != nil || all[p.HostLink] == nil {
		return map[Reason]uint64{}, err
	}
	return all[p.HostLink], nil
}

// dropped are the counts of all links.
func (h *Host) dropped() (map[string]map[Reason]uint64, error) {
	out := map[string]map[Reason]uint64{}
	if there, err := h.tableIsThere(); err != nil || !there {
		return out, err
	}
	for _, r := range reasons() {
		elements, err := h.nft.GetSetElements(setNamed(dropSet(r)))
		if err != nil {
			return nil, classify("read counts of dropped packets", err)
		}
		for _, e := range elements {
			if e.Counter == nil || e.Counter.Packets == 0 {
				continue
			}
			link := string(bytes.TrimRight(e.Key, "\x00"))
			if out[link] == nil {
				out[link] = map[Reason]uint64{}
			}
			out[link][r] = e.Counter.Packets
		}
	}
	return out, nil
}
