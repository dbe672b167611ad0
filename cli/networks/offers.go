package networks

import (
	"context"
	"strconv"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/options"
	"croft/internal/vps"
)

// The words about the network of a VPS that completion offers: see complete.go.

// Addresses returns the addresses of the first interface of each VPS.
func Addresses(o *command.Offers, c *cmdline.Completion) []cmdline.Candidate {
	var all []cmdline.Candidate
	for _, v := range o.Chosen(c) {
		for _, i := range v.Interfaces {
			for _, a := range i.Addresses {
				address, _, _ := strings.Cut(a, "/")
				all = append(all, cmdline.Candidate{Word: address, About: "address of " + string(v.Name)})
			}
		}
	}
	return all
}

// Attached are the networks of VPSs.
func Attached(o *command.Offers, c *cmdline.Completion) []cmdline.Candidate {
	var all []cmdline.Candidate
	for _, v := range o.Chosen(c) {
		for _, i := range v.Interfaces {
			all = append(all, cmdline.Candidate{Word: i.Network, About: i.Name + " of " + string(v.Name)})
		}
	}
	return all
}

// Ports returns the published ports of the VPSs on the line.
func Ports(o *command.Offers, c *cmdline.Completion) []cmdline.Candidate {
	var all []cmdline.Candidate
	for _, v := range o.Chosen(c) {
		for n, p := range v.Published {
			all = append(all, cmdline.Candidate{Word: options.PublicationText(p), About: "number " + strconv.Itoa(n+1)})
		}
	}
	return all
}

// FirewallRules returns the words that can stand after the NAME of firewall
// remove: the numbers of the rules, and the first word of a rule.
func FirewallRules(o *command.Offers, c *cmdline.Completion) []cmdline.Candidate {
	all := []cmdline.Candidate{{Word: "allow", About: "the rule that allow added"}, {Word: "deny", About: "the rule that deny added"}}
	name, err := vps.ParseName(c.Words[0])
	m := o.Browse(c)
	if err != nil || m == nil {
		return all
	}
	info, err := m.Firewall(context.Background(), name)
	if err != nil {
		return all
	}
	for _, r := range info.Rules {
		about := r.Action + " " + strings.Join(r.Ports, ",")
		for _, w := range []string{r.Protocol, r.From, r.To, strings.Join(r.States, ",")} {
			about = strings.TrimSpace(about + " " + w)
		}
		all = append(all, cmdline.Candidate{Word: strconv.Itoa(r.Number), About: about + ", chain " + r.Chain})
	}
	return all
}

// PolicyWords returns the n-th words after the NAME of firewall policy.
func PolicyWords(n int) []cmdline.Candidate {
	switch n {
	case 0:
		return cmdline.Bare(vps.FirewallChains())
	case 1:
		return cmdline.Bare([]string{"accept", "drop"})
	}
	return nil
}

// Routes returns the words that can stand after the NAME of route remove: the
// destinations of croft's routes, and the first word of a rule.
func Routes(o *command.Offers, c *cmdline.Completion) []cmdline.Candidate {
	all := []cmdline.Candidate{{Word: "rule", About: "a routing rule"}}
	name, err := vps.ParseName(c.Words[0])
	m := o.Browse(c)
	if err != nil || m == nil {
		return all
	}
	info, err := m.Routing(context.Background(), name)
	if err != nil {
		return all
	}
	for _, r := range info.Routes {
		if r.Number > 0 {
			all = append(all, cmdline.Candidate{Word: r.Destination, About: "number " + strconv.Itoa(r.Number)})
		}
	}
	return all
}
