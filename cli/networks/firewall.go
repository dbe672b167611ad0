package networks

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/values"
	"croft/internal/vps"
	"croft/runtime"
)

// FirewallVerb returns the command firewall.
func FirewallVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "firewall", Group: command.GroupChange, Args: "NAME COMMAND", Words: command.VPSNames, Named: true,
		Summary: "manage the firewall of a VPS",
		Examples: []string{
			"croft firewall web allow 22/tcp --from 192.0.2.0/24",
			"croft firewall web allow 80,443/tcp icmp",
			"croft firewall web policy input drop",
			"croft firewall web list",
		},
		Synonyms: []string{"fw", "iptables", "ufw"},
		About: `Rules are saved with the VPS and applied inside it, at once and at every start
before the network is up. Rules are checked in order, and the first match
decides; then packets of established connections are accepted; then the chain's
policy applies (default: accept). Loopback and IPv6 neighbour discovery are always
accepted. Accepted packets then pass the VPS's own rules, which croft does not
change.`,
		Verbs: []*cmdline.Verb{
			firewallListVerb(a), firewallRuleVerb(a, "allow"), firewallRuleVerb(a, "deny"),
			firewallPolicyVerb(a), firewallRemoveVerb(a), firewallFlushVerb(a), firewallApplyVerb(a),
		},
	}
}

func firewallListVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "list", Args: "NAME", Words: command.VPSNames,
		Query:    true,
		Summary:  "list the rules and whether they are active",
		Examples: []string{"croft firewall web list"},
		About: `For a running VPS, each rule has the packets and bytes that it matched, and each
policy those that it dropped. "missing" is a rule that was removed inside the VPS.
Rules in croft's chains that croft did not add are listed as iptables prints
them.`,
		Options:  command.TableOptions("print everything as JSON"),
		Aliases:  []string{"ls", "show"},
		Synonyms: []string{"status"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := command.OutputOf[runtime.FirewallInfo](i)
			return command.ForOne(ctx, i, "list the firewall", func(ctx context.Context, m command.Manager, name vps.Name) error {
				info, err := m.Firewall(ctx, name)
				if err != nil {
					return err
				}
				if err := command.PrintOne(o, info, firewallTable(info)); err != nil {
					return err
				}
				if o.Name != display.FormatJSON && info.Running && !info.Applied {
					i.Screen.Warn("some rules are missing in the VPS; restore them with: croft firewall " + string(name) + " apply")
				}
				return nil
			})
		}),
	}
}

func firewallTable(info runtime.FirewallInfo) display.Table {
	counts := func(applied bool, packets, bytes uint64) []string {
		switch {
		case !info.Running:
			return []string{"", ""}
		case !applied:
			return []string{"missing", ""}
		}
		return []string{strconv.FormatUint(packets, 10), strconv.FormatUint(bytes, 10)}
	}
	t := display.Table{{"RULE", "CHAIN", "ACTION", "PROTOCOL", "PORTS", "FROM", "TO", "STATE", "PACKETS", "BYTES"}}
	for _, r := range info.Rules {
		t = append(t, append([]string{strconv.Itoa(r.Number), r.Chain, r.Action, r.Protocol, strings.Join(r.Ports, ","),
			r.From, r.To, strings.Join(r.States, ",")}, counts(r.Applied, r.Packets, r.Bytes)...))
	}
	for _, p := range info.Policies {
		row := []string{"policy", p.Chain, p.Policy, "", "", "", "", ""}
		if p.Policy == "drop" {
			row = append(row, counts(p.Applied, p.Packets, p.Bytes)...)
		} else {
			row = append(row, "", "")
		}
		t = append(t, row)
	}
	for _, o := range info.Others {
		t = append(t, []string{"other", o.Chain, o.Family, "", "", "", "", "",
			strconv.FormatUint(o.Packets, 10), strconv.FormatUint(o.Bytes, 10) + "  " + o.Rule})
	}
	return t
}

func firewallRuleVerb(a *command.App, action string) *cmdline.Verb {
	v := &cmdline.Verb{
		Name: action, Args: "NAME [WHAT...]", Words: command.VPSNames,
		Summary: "accept packets",
		Examples: []string{
			"croft firewall web allow 22/tcp --from 192.0.2.0/24",
			"croft firewall web allow 80,443/tcp icmp",
		},
		Synonyms: []string{"accept", "open", "add"},
		About: `WHAT is PORTS, PORTS/PROTOCOL or PROTOCOL: 53, 80/tcp, 80,443,8000-8100/tcp,
icmp. PORTS without a protocol means tcp and udp; icmp means IPv4 and IPv6. Each
WHAT is one rule. Without WHAT, give --from, --to or --state.`,
		Options: append(firewallMatchOptions(),
			cmdline.Option{Name: "at", Placeholder: "NUMBER", Usage: "insert before the rule of this number (default: append)"}),
	}
	if action == "deny" {
		v.Summary, v.Synonyms = "drop or reject packets", []string{"drop", "block", "reject"}
		v.Examples = []string{"croft firewall web deny 25/tcp --chain output --reject"}
		v.Options = append(v.Options, rejectOption())
	}
	v.Run = a.Run(func(ctx context.Context, i *command.Invocation) error { return addFirewallRules(ctx, i, action) })
	return v
}

// firewallMatchOptions say, beside the ports, which packets a rule is about.
func firewallMatchOptions() []cmdline.Option {
	return []cmdline.Option{
		{Name: "from", Placeholder: "ADDRESS", Usage: "match the source address or prefix"},
		{Name: "to", Placeholder: "ADDRESS", Usage: "match the destination address or prefix"},
		{Name: "state", Placeholder: "STATE,...", Usage: "match the connection state: new, established, related or invalid"},
		{Name: "chain", Placeholder: "CHAIN", Usage: "input, output or forward (default: input)", Choices: vps.FirewallChains()},
	}
}

func rejectOption() cmdline.Option {
	return cmdline.Option{Name: "reject", Usage: "reply to the sender with an ICMP error"}
}

func addFirewallRules(ctx context.Context, i *command.Invocation, action string) error {
	base := firewallRule(i, action)
	at := command.Get(i, "at", values.Number)
	name, what, err := nameAnd(i)
	if err != nil {
		return err
	}
	rules, err := rulesOf(base, what)
	if err != nil {
		return command.UsageError("%s: %w", strings.Join(i.Path, " "), err)
	}
	return changeNamed(ctx, i, name, "change the firewall", vps.AddRules{Rules: rules, At: at})
}

// firewallRule returns the rule of the options, without ports.
func firewallRule(i *command.Invocation, action string) vps.FirewallRule {
	r := vps.FirewallRule{
		Chain: "input", Action: action,
		From: command.Get(i, "from", values.Place), To: command.Get(i, "to", values.Place), States: command.Get(i, "state", values.States),
	}
	if i.Has("chain") {
		r.Chain = command.Get(i, "chain", values.Chain)
	}
	if action == "deny" && i.Is("reject") {
		r.Action = "reject"
	}
	return r
}

// rulesOf makes a rule for each of what, or the one that base is.
func rulesOf(base vps.FirewallRule, what []string) ([]vps.FirewallRule, error) {
	if len(what) == 0 {
		if base.From == "" && base.To == "" && len(base.States) == 0 {
			return nil, fmt.Errorf("nothing to match: give ports, a protocol or --from, for example 80/tcp")
		}
		return []vps.FirewallRule{base}, nil
	}
	var rules []vps.FirewallRule
	for _, w := range what {
		r := base
		var err error
		if r.Protocol, r.Ports, err = parseService(w); err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func firewallPolicyVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "policy", Args: "NAME CHAIN accept|drop", Words: command.VPSNames, After: command.FirewallPolicies,
		Summary:  "set the default policy of a chain",
		Examples: []string{"croft firewall web policy input drop"},
		About: `CHAIN is input, output or forward. With drop, packets of established connections
are still accepted.`,
		Synonyms: []string{"default"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			name, words, err := nameAnd(i)
			if err != nil {
				return err
			}
			if len(words) != 2 {
				return command.UsageError("firewall policy takes a CHAIN and accept or drop, for example: croft firewall %s policy input drop", name)
			}
			chain, err := values.Chain(words[0])
			if err != nil {
				return command.UsageError("firewall policy: %w", err)
			}
			if words[1] != "accept" && words[1] != "drop" {
				return command.UsageError("firewall policy: invalid policy %q: use accept or drop", words[1])
			}
			return changeNamed(ctx, i, name, "change the firewall", vps.SetPolicy{Chain: chain, Policy: words[1]})
		}),
	}
}

func firewallRemoveVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "remove", Harmful: true, Args: "NAME NUMBER...|allow|deny [WHAT...]", Words: command.VPSNames, After: command.FirewallRulesOfVPS,
		Summary: "remove rules, by number or by the words that added them",
		Examples: []string{
			"croft firewall web remove 1 3",
			"croft firewall web remove allow 80/tcp",
			"croft firewall web remove deny 25/tcp --chain output --reject",
		},
		About: `The numbers are those of the list before the command. With allow or deny, give
WHAT and the options with which the rule was added. Each WHAT removes one rule.
If several rules are the same, the error lists them and no rule is removed.`,
		Options:  append(firewallMatchOptions(), rejectOption()),
		Aliases:  []string{"rm"},
		Synonyms: []string{"delete", "del"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			name, chosen, err := nameAndChoices(i, firewallChoices)
			if err != nil {
				return err
			}
			return changeNamed(ctx, i, name, "change the firewall", vps.RemoveRules{Chosen: chosen})
		}),
	}
}

// firewallChoices reads the words after the NAME of firewall remove.
func firewallChoices(i *command.Invocation, name vps.Name, words []string) ([]vps.FirewallChoice, error) {
	var chosen []vps.FirewallChoice
	if len(words) == 0 || words[0] != "allow" && words[0] != "deny" {
		onlyFor(i, "allow or deny", []string{"from", "to", "state", "chain", "reject"})
		numbers, err := numbers(i, name, words)
		for _, n := range numbers {
			chosen = append(chosen, vps.FirewallChoice{Number: n})
		}
		return chosen, err
	}
	if words[0] == "allow" && i.Has("reject") {
		return nil, command.UsageError("--reject: only with deny")
	}
	rules, err := rulesOf(firewallRule(i, words[0]), words[1:])
	if err != nil {
		return nil, command.UsageError("firewall remove: %w", err).WithHint("croft firewall %s list", name)
	}
	for _, r := range rules {
		chosen = append(chosen, vps.FirewallChoice{Rule: r})
	}
	return chosen, nil
}

func firewallFlushVerb(a *command.App) *cmdline.Verb {
	return editVerb(a, &cmdline.Verb{
		Name: "flush", Harmful: true,
		Summary:  "remove all rules and policies",
		Examples: []string{"croft firewall web flush"},
		Synonyms: []string{"clear", "reset", "disable"},
	}, "change the firewall", vps.FlushFirewall{})
}

func firewallApplyVerb(a *command.App) *cmdline.Verb {
	return editVerb(a, &cmdline.Verb{
		Name:     "apply",
		Summary:  "restore rules that were removed inside the VPS",
		Examples: []string{"croft firewall web apply"},
		About: `Every start does the same. A VPS that replaces its whole rule set ("nft flush
ruleset", "iptables-restore") removes croft's rules too.`,
		Synonyms: []string{"repair", "reload", "enable"},
	}, "change the firewall", vps.Reapply{What: vps.PartFirewall})
}

// editVerb completes the verb of one edit of one VPS, which takes no options.
func editVerb(a *command.App, v *cmdline.Verb, act string, e vps.Edit) *cmdline.Verb {
	v.Args, v.Words = "NAME", command.VPSNames
	v.Run = a.Run(func(ctx context.Context, i *command.Invocation) error {
		return command.ForOne(ctx, i, act, func(ctx context.Context, m command.Manager, name vps.Name) error { return m.Change(ctx, name, e) })
	})
	return v
}

// nameAnd returns the name of a VPS and the words after it.
func nameAnd(i *command.Invocation) (vps.Name, []string, error) {
	if len(i.Words) == 0 {
		return "", nil, command.UsageError("%s: no NAME given", strings.Join(i.Path, " "))
	}
	if i.Words[0] == "" {
		return "", nil, command.UsageError("%s: the NAME is empty", strings.Join(i.Path, " "))
	}
	name, err := vps.ParseName(i.Words[0])
	if err != nil {
		return "", nil, command.UsageError("%w", err)
	}
	return name, i.Words[1:], nil
}

// nameAndChoices returns the name of a VPS and what the words after it choose.
func nameAndChoices[T any](i *command.Invocation, read func(*command.Invocation, vps.Name, []string) ([]T, error)) (vps.Name, []T, error) {
	name, words, err := nameAnd(i)
	if err != nil {
		return "", nil, err
	}
	chosen, err := read(i, name, words)
	return name, chosen, err
}

// numbers reads words that are numbers of a list, which the family's command
// list shows.
func numbers(i *command.Invocation, name vps.Name, words []string) ([]int, error) {
	if len(words) == 0 {
		return nil, command.UsageError("%s: no NUMBER given", strings.Join(i.Path, " ")).WithHint("croft %s %s list", i.Path[0], name)
	}
	var numbers []int
	for _, w := range words {
		n, err := values.Number(w)
		if err != nil {
			return nil, command.UsageError("%s: %w", strings.Join(i.Path, " "), err).WithHint("croft %s %s list", i.Path[0], name)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// changeNamed makes an edit of the VPS that is named before other words.
func changeNamed(ctx context.Context, i *command.Invocation, name vps.Name, act string, e vps.Edit) error {
	m, err := i.Manager()
	if err != nil {
		return err
	}
	return command.Cannot(act, string(name), m.Change(ctx, name, e))
}

// parseService reads PORTS, PORTS/PROTOCOL or PROTOCOL.
func parseService(s string) (protocol string, ports []string, err error) {
	list, protocol, ok := strings.Cut(s, "/")
	if !ok && slices.Contains([]string{"tcp", "udp", "icmp"}, s) {
		return s, nil, nil
	}
	if ok && protocol != "tcp" && protocol != "udp" {
		return "", nil, fmt.Errorf("%q: ports are of tcp or udp", s)
	}
	for p := range strings.SplitSeq(list, ",") {
		if _, _, err := vps.ParsePorts(p); err != nil {
			return "", nil, fmt.Errorf("invalid ports or protocol %q (for example 53, 80,443/tcp, 8000-8100/udp, icmp)", s)
		}
		ports = append(ports, p)
	}
	return protocol, ports, nil
}
