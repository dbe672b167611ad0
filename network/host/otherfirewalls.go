package host

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"croft/network"
)

// nftForwardHooks lists the chains of nftables that filter forwarded packets.
func nftForwardHooks() ([]hook, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, classify("open a netfilter socket", err)
	}
	chains, err := c.ListChains()
	if err != nil {
		return nil, classify("list chains of nftables", err)
	}
	var all []hook
	for _, chain := range chains {
		if isForward(chain) {
			h := hook{Family: familyName(chain.Table.Family), table: chain.Table.Name, chain: chain.Name}
			h.read(c, chain, chains)
			all = append(all, h)
		}
	}
	return all, nil
}

func isForward(c *nftables.Chain) bool {
	return c.Type == nftables.ChainTypeFilter && c.Hooknum != nil && *c.Hooknum == *nftables.ChainHookForward &&
		familyName(c.Table.Family) != ""
}

// familyName is "" for families that see no packets of IP that are forwarded.
func familyName(f nftables.TableFamily) string {
	switch f {
	case nftables.TableFamilyIPv4:
		return "ip"
	case nftables.TableFamilyIPv6:
		return "ip6"
	case nftables.TableFamilyINet:
		return "inet"
	}
	return ""
}

// read reads whether the chain drops packets that it does not accept, and the
// names in its table. Rules that cannot be read are ignored.
func (h *hook) read(c *nftables.Conn, base *nftables.Chain, chains []*nftables.Chain) {
	h.drops = base.Policy != nil && *base.Policy == nftables.ChainPolicyDrop
	for _, chain := range chains {
		if chain.Table.Name != base.Table.Name || chain.Table.Family != base.Table.Family {
			continue
		}
		h.docker = h.docker || chain.Name == "DOCKER-USER"
		h.text += chain.Name + "\n"
		rules, err := c.GetRules(chain.Table, chain)
		if err != nil {
			continue
		}
		for _, r := range rules {
			h.text += namesIn(r)
			h.drops = h.drops || chain.Name == base.Name && dropsAll(r)
		}
	}
}

// dropsAll reports whether a rule drops or rejects whatever comes to it.
func dropsAll(r *nftables.Rule) bool {
	drops := false
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Counter, *expr.Log:
		case *expr.Reject:
			drops = true
		case *expr.Verdict:
			drops = e.Kind == expr.VerdictDrop
		default:
			return false // it matches something
		}
	}
	return drops
}

// namesIn are the texts that a rule compares with: names of links.
func namesIn(r *nftables.Rule) string {
	var names strings.Builder
	for _, e := range r.Exprs {
		if c, ok := e.(*expr.Cmp); ok {
			names.WriteString(strings.TrimRight(string(c.Data), "\x00") + "\n")
		}
	}
	return names.String()
}

// early says what drops before croft's own rules are asked: a start leaves their
// jump where it is.
func early(ctx context.Context, six bool) []Blocker {
	var all []Blocker
	for _, tool := range []string{"iptables", "ip6tables"} {
		if tool == "ip6tables" && !six {
			continue
		}
		if rules, err := savedRules(ctx, tool == "ip6tables"); err == nil && dropsEarly(rules) {
			all = append(all, Blocker{"a rule of " + tool + " before croft's",
				fmt.Sprintf("%s -D FORWARD -j %s && %[1]s -I FORWARD -j %[2]s", tool, network.ChainForward)})
		}
	}
	return all
}

// dropsEarly reports whether a rule that drops everything stands before the
// jump to croft's.
func dropsEarly(s network.SavedRules) bool {
	drops := false
	for _, spec := range s.Specs("filter", "FORWARD") {
		if spec == "-j "+network.ChainForward {
			return drops
		}
		drops = drops || dropsWhatever(spec)
	}
	return false
}

func dropsWhatever(spec string) bool {
	return spec == "-j DROP" || strings.HasPrefix(spec, "-j REJECT")
}
