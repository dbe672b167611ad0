package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"

	"croft/network"
)

func kernelFamily(f network.Family) nftables.TableFamily {
	switch f {
	case network.FamilyNetdev:
		return nftables.TableFamilyNetdev
	case network.FamilyInet:
		return nftables.TableFamilyINet
	}
	return nftables.TableFamilyBridge
}

func kernelTable(f network.Family) *nftables.Table {
	return &nftables.Table{Name: network.FilterTable, Family: kernelFamily(f)}
}

func kernelSet(f network.Family, name string) *nftables.Set {
	return &nftables.Set{Table: kernelTable(f), Name: name}
}

// ensureFilter makes the tables that the network needs right.
func (h *Host) ensureFilter(ctx context.Context, p network.HostPlan) error {
	for _, f := range p.Families() {
		if err := h.ensureTable(ctx, p, f); err != nil {
			return err
		}
	}
	return nil
}

// ensureTable creates a table, or repairs it if anything is missing or
// different. The batch does not touch elements and may be sent twice. The
// kernel applies a batch as a whole, so rules are always in place.
func (h *Host) ensureTable(ctx context.Context, p network.HostPlan, f network.Family) error {
	same, err := h.filterIsThere(p, f)
	if err != nil || same {
		return err
	}
	unlock, err := h.lock(ctx) // against who takes the table away
	if err != nil {
		return err
	}
	defer unlock()
	t := h.nft.AddTable(kernelTable(f))
	for i, s := range network.FilterSets(f) {
		// An id that is unique in this batch. The library would choose one from a
		// counter that it does not lock (google/nftables v0.3.0, AddSet).
		set := setIn(t, s)
		set.ID = uint32(i + 1)
		if err := h.nft.AddSet(set, nil); err != nil {
			return classify("make set "+s.Name, err)
		}
	}
	chains := network.FilterChains(f)
	for _, c := range chains {
		h.nft.FlushChain(h.nft.AddChain(chainIn(t, c)))
	}
	for _, c := range chains {
		h.addRules(t, c)
	}
	if err := h.nft.SetAddElements(kernelSet(f, network.SetNetworks), networkElement(p, f)); err != nil {
		return classify("enter network", err)
	}
	return classify(fmt.Sprintf("set filters (nftables, family %s)", f), h.nft.Flush())
}

func (h *Host) addRules(t *nftables.Table, c network.FilterChain) {
	for _, r := range c.Rules {
		h.nft.AddRule(&nftables.Rule{Table: t, Chain: &nftables.Chain{Name: c.Name, Table: t}, Exprs: r.Exprs(),
			UserData: userdata.AppendString(nil, userdata.TypeComment, r.Mark())})
	}
}

func setIn(t *nftables.Table, s network.FilterSet) *nftables.Set {
	types := make([]nftables.SetDatatype, len(s.Types))
	for i, name := range s.Types {
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
	set := &nftables.Set{Table: t, Name: s.Name, KeyType: types[0], Dynamic: s.Dynamic,
		KeyByteOrder: binaryutil.NativeEndian} // so that nft(8) prints names of links
	if len(types) > 1 {
		set.KeyType = nftables.MustConcatSetType(types...) // two known types
		set.Concatenation = true
	}
	if s.Dynamic {
		set.Size = network.DropSetSize
	}
	if s.Verdict {
		set.IsMap, set.DataType = true, nftables.TypeVerdict
	}
	return set
}

func chainIn(t *nftables.Table, c network.FilterChain) *nftables.Chain {
	chain := &nftables.Chain{Name: c.Name, Table: t, Device: c.Device}
	hooks := map[string]*nftables.ChainHook{
		"prerouting":  nftables.ChainHookPrerouting,
		"input":       nftables.ChainHookInput,
		"postrouting": nftables.ChainHookPostrouting,
		"ingress":     nftables.ChainHookIngress,
		"egress":      nftables.ChainHookEgress,
	}
	if c.Hook == "" {
		return chain
	}
	policy := nftables.ChainPolicyAccept
	if c.Policy() == "drop" {
		policy = nftables.ChainPolicyDrop
	}
	chain.Type, chain.Policy = nftables.ChainTypeFilter, &policy
	chain.Hooknum, chain.Priority = hooks[c.Hook], nftables.ChainPriorityRef(nftables.ChainPriority(c.Priority()))
	return chain
}

func networkElement(p network.HostPlan, f network.Family) []nftables.SetElement {
	return []nftables.SetElement{{Key: network.InterfaceKey(p.FilterKey(f))}}
}

// filterIsThere compares the marks of all rules, and looks for the sets and
// for the network's own entry.
func (h *Host) filterIsThere(p network.HostPlan, f network.Family) (bool, error) {
	if there, err := h.tableIsThere(f); err != nil || !there {
		return false, err
	}
	sets, err := h.nft.GetSets(kernelTable(f))
	if err != nil {
		return false, classify("list sets of filters", err)
	}
	for _, want := range network.FilterSets(f) {
		if !slices.ContainsFunc(sets, func(s *nftables.Set) bool { return s.Name == want.Name }) {
			return false, nil
		}
	}
	for _, c := range network.FilterChains(f) {
		if same, err := h.chainIsThere(f, c); err != nil || !same {
			return false, err
		}
	}
	elements, err := h.nft.GetSetElements(kernelSet(f, network.SetNetworks))
	if err != nil {
		return false, classify("list networks of filters", err)
	}
	return slices.ContainsFunc(elements, func(e nftables.SetElement) bool {
		return bytes.Equal(e.Key, network.InterfaceKey(p.FilterKey(f)))
	}), nil
}

// chainIsThere compares marks of rules: a chain that is absent has none.
func (h *Host) chainIsThere(f network.Family, c network.FilterChain) (bool, error) {
	rules, err := h.nft.GetRules(kernelTable(f), &nftables.Chain{Name: c.Name})
	if err != nil {
		return false, classify("list rules of filters", err)
	}
	return slices.Equal(marksOf(rules), c.Marks()), nil
}

func marksOf(rules []*nftables.Rule) []string {
	var out []string
	for _, r := range rules {
		mark, _ := userdata.GetString(r.UserData, userdata.TypeComment)
		out = append(out, mark)
	}
	return out
}

func (h *Host) tableIsThere(f network.Family) (bool, error) {
	tables, err := h.nft.ListTablesOfFamily(kernelFamily(f))
	if err != nil {
		return false, classify("list tables of filters", err)
	}
	return slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == network.FilterTable }), nil
}

// removeFilter removes the network's entries, and a table that has none left.
// The caller holds the lock.
func (h *Host) removeFilter(p network.HostPlan) error {
	var errs []error
	for _, f := range p.Families() {
		errs = append(errs, h.leaveTable(p, f))
	}
	return errors.Join(errs...)
}

func (h *Host) leaveTable(p network.HostPlan, f network.Family) error {
	if there, err := h.tableIsThere(f); err != nil || !there {
		return err
	}
	elements, err := h.nft.GetSetElements(kernelSet(f, network.SetNetworks))
	if err != nil {
		return classify("list networks of filters", err)
	}
	others := slices.ContainsFunc(elements, func(e nftables.SetElement) bool {
		return !bytes.Equal(e.Key, network.InterfaceKey(p.FilterKey(f)))
	})
	if !others {
		h.nft.DelTable(kernelTable(f))
		return classify("remove filters", h.nft.Flush())
	}
	return h.deleteElements(f, map[string][]nftables.SetElement{network.SetNetworks: networkElement(p, f)})
}

// addFilterElements allows the link of p to use the addresses of p, and limits its
// connections. Usually nothing of the link is there, and all of it is added in one step.
func (h *Host) addFilterElements(p network.Plan) error {
	there, err := h.hasEntries(p.HostLink)
	if err != nil {
		return err
	}
	if !there {
		err := h.addEntries(p)
		if !errors.Is(err, unix.EEXIST) { // an address leads to another link
			return err
		}
	}
	if err := h.countConnections(p); err != nil {
		return err
	}
	if err := h.queueElements(p); err != nil {
		return err
	}
	return classify("add filters of "+p.HostLink, h.nft.Flush())
}

// hasEntries reports whether anything of a link is in the filters. Its chain of
// connections tells that: it comes in the step that adds the first of them, and goes in
// the step that removes the last.
func (h *Host) hasEntries(hostLink string) (bool, error) {
	rules, err := h.nft.GetRules(kernelTable(network.FamilyInet), &nftables.Chain{Name: network.ConnectionChain(hostLink)})
	if err != nil && !isAbsent(err) {
		return false, classify("look for filters of "+hostLink, err)
	}
	return len(rules) > 0, nil
}

// addEntries adds all entries of p in one step. It is EEXIST if an address of p leads to
// another link.
func (h *Host) addEntries(p network.Plan) error {
	h.queueConnectionChain(p)
	bySet := map[string][]nftables.SetElement{}
	if h.ConnectionLimit(p) > 0 {
		for _, e := range p.Owners() {
			bySet[e.Set] = append(bySet[e.Set], ownerElement(e.Key, network.ConnectionChain(p.HostLink)))
		}
	}
	for set, elements := range bySet {
		if err := h.changeOwners(set, nil, elements); err != nil {
			return err
		}
	}
	if err := h.queueElements(p); err != nil {
		return err
	}
	return classify("add filters of "+p.HostLink, h.count()) // the chain is new, which is a change
}

// queueElements has the next step add the elements of p.
func (h *Host) queueElements(p network.Plan) error {
	bySet := map[string][]nftables.SetElement{}
	for _, e := range p.Elements() {
		bySet[e.Set] = append(bySet[e.Set], nftables.SetElement{Key: e.Key})
	}
	for name, elements := range bySet {
		if err := h.nft.SetAddElements(kernelSet(p.Family(), name), elements); err != nil {
			return classify("add filters of "+p.HostLink, err)
		}
	}
	return nil
}

// removeFilterElements removes every element of the link with its counts, also
// for its former addresses, in one step. No-op without elements.
func (h *Host) removeFilterElements(f network.Family, hostLink string) error {
	if there, err := h.hasEntries(hostLink); err != nil || !there {
		return err
	}
	if err := h.removePortChains(f, hostLink); err != nil {
		return err
	}
	if err := h.queueElementsOff(f, hostLink); err != nil {
		return err
	}
	if err := h.queueConnectionsOff(hostLink); err != nil {
		return err
	}
	return classify("remove filters of "+hostLink, h.count()) // the chain goes, which is a change
}

// queueElementsOff has the next step remove the elements of a link.
func (h *Host) queueElementsOff(f network.Family, hostLink string) error {
	if there, err := h.tableIsThere(f); err != nil || !there {
		return err
	}
	found := map[string][]nftables.SetElement{}
	for _, r := range network.Reasons() {
		found[network.DropSet(r)] = []nftables.SetElement{{Key: network.InterfaceKey(hostLink)}}
	}
	found[network.SetSegments] = []nftables.SetElement{{Key: network.InterfaceKey(hostLink)}}
	for _, set := range []string{network.SetMAC, network.SetIPv4, network.SetIPv6} {
		elements, err := h.nft.GetSetElements(kernelSet(f, set))
		if err != nil {
			return classify("list set "+set, err)
		}
		for _, e := range elements {
			if bytes.HasPrefix(e.Key, network.InterfaceKey(hostLink)) {
				found[set] = append(found[set], nftables.SetElement{Key: e.Key})
			}
		}
	}
	return h.queueDeletion(f, found)
}

// queueDeletion has the next step add each element before it deletes it: deleting
// a missing element fails, and another process may delete it at the same time.
func (h *Host) queueDeletion(f network.Family, bySet map[string][]nftables.SetElement) error {
	for name, elements := range bySet {
		if err := h.nft.SetAddElements(kernelSet(f, name), elements); err != nil {
			return classify("remove filters", err)
		}
		if err := h.nft.SetDeleteElements(kernelSet(f, name), elements); err != nil {
			return classify("remove filters", err)
		}
	}
	return nil
}

// deleteElements removes elements in one step. No-op for missing ones.
func (h *Host) deleteElements(f network.Family, bySet map[string][]nftables.SetElement) error {
	if err := h.queueDeletion(f, bySet); err != nil {
		return err
	}
	return classify("remove filters", h.nft.Flush())
}

// Dropped returns how many frames from p's VPS were dropped at its port since
// it was plugged in, by reason. Reasons without a drop are left out.
func (h *Host) Dropped(p network.Plan) (map[network.Reason]uint64, error) {
	if !p.HasPort() {
		return map[network.Reason]uint64{}, nil
	}
	all, err := h.dropped(p.Family())
	if err != nil {
		return nil, err
	}
	mine := all[p.HostLink]
	if mine == nil {
		mine = map[network.Reason]uint64{}
	}
	return mine, h.addRefused(p.HostLink, mine)
}

// dropped are the counts of all links of a family.
func (h *Host) dropped(f network.Family) (map[string]map[network.Reason]uint64, error) {
	out := map[string]map[network.Reason]uint64{}
	if there, err := h.tableIsThere(f); err != nil || !there {
		return out, err
	}
	for _, r := range network.Reasons() {
		elements, err := h.nft.GetSetElements(kernelSet(f, network.DropSet(r)))
		if err != nil {
			return nil, classify("read counts of dropped packets", err)
		}
		for _, e := range elements {
			if e.Counter == nil || e.Counter.Packets == 0 {
				continue
			}
			link := string(bytes.TrimRight(e.Key, "\x00"))
			if out[link] == nil {
				out[link] = map[network.Reason]uint64{}
			}
			out[link][r] = e.Counter.Packets
		}
	}
	return out, nil
}
