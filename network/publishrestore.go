package network

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"croft/internal/vps"
)

// A PublishChange lists the changes in one family that make the rules of some
// VPSs correct.
type PublishChange struct {
	Six   bool
	Text  string   // input of iptables-restore --noflush, which applies it atomically; "" if there is no change
	UDP   []string // specs of added and removed UDP rules: the kernel must forget their connections
	After []Rule   // rules of table nat after the change
}

// PublishChanges compares the present rules with the rules that all should
// have. It removes a chain of croft, with its jump, if the chain becomes empty.
// It leaves other rules unchanged.
func PublishChanges(six bool, now SavedRules, all []Published) PublishChange {
	change := PublishChange{Six: six}
	mine := map[string]bool{}
	want := map[string][]string{}
	for _, p := range all {
		mine[p.comment()] = true
		for _, r := range p.rules(six) {
			want[r.Chain] = append(want[r.Chain], r.Spec)
		}
	}
	var chains, rules, removed strings.Builder
	for _, j := range publishJumps() {
		there := now.Specs(j.Table, j.To)
		left := len(there)
		missing := slices.Clone(want[j.To])
		for _, spec := range there {
			i := slices.Index(missing, spec)
			if i < 0 && mine[commentOf(spec)] {
				fmt.Fprintf(&rules, "-D %s %s\n", j.To, spec)
				change.note(spec)
				left--
				continue
			}
			if i >= 0 {
				missing = slices.Delete(missing, i, i+1)
			}
			change.After = append(change.After, Rule{six, j.Table, j.To, spec})
		}
		for _, spec := range missing {
			fmt.Fprintf(&rules, "-A %s %s\n", j.To, spec)
			change.note(spec)
			change.After = append(change.After, Rule{six, j.Table, j.To, spec})
			left++
		}
		if left > 0 && !now.HasChain(j.Table, j.To) {
			fmt.Fprintf(&chains, ":%s - [0:0]\n", j.To)
		}
		jumps, keep := now.Jumps(j), 1
		if left == 0 {
			keep = 0
			if now.HasChain(j.Table, j.To) {
				fmt.Fprintf(&removed, "-X %s\n", j.To)
			}
		}
		for ; jumps > keep; jumps-- {
			fmt.Fprintf(&rules, "-D %s -j %s\n", j.From, j.To)
		}
		if jumps < keep { // first: other tools end with a verdict for everything
			fmt.Fprintf(&rules, "-I %s 1 -j %s\n", j.From, j.To)
		}
	}
	if chains.Len()+rules.Len()+removed.Len() > 0 {
		change.Text = "*nat\n" + chains.String() + rules.String() + removed.String() + "COMMIT\n"
	}
	return change
}

func (c *PublishChange) note(spec string) {
	if strings.Contains(spec, "-p udp ") {
		c.UDP = append(c.UDP, spec)
	}
}

// commentOf returns the comment of a rule in the format of iptables-save. In
// croft's rules it is one word.
func commentOf(spec string) string {
	_, rest, _ := strings.Cut(spec, " --comment ")
	word, _, _ := strings.Cut(rest, " ")
	return word
}

// PortsOf returns the range of ports that a rule of croft translates.
func PortsOf(spec string) (first, last uint16) {
	_, rest, _ := strings.Cut(spec, " --dport ")
	word, _, _ := strings.Cut(rest, " ")
	low, high, ranged := strings.Cut(word, ":")
	if !ranged {
		high = low
	}
	a, err1 := strconv.ParseUint(low, 10, 16)
	b, err2 := strconv.ParseUint(high, 10, 16)
	if err1 != nil || err2 != nil {
		return 0, 0
	}
	return uint16(a), uint16(b)
}

// A PublishedInfo shows the published ports of a VPS, as saved and as in the
// kernel. Its JSON keys are stable.
type PublishedInfo struct {
	Name      vps.Name          `json:"name"`
	Running   bool              `json:"running"`
	Applied   bool              `json:"applied"` // the VPS runs, and all of it is there
	Published []PublicationInfo `json:"published"`
}

// A PublicationInfo is one Publication.
type PublicationInfo struct {
	Number   int    `json:"number"` // from 1, by which it is removed
	Protocol string `json:"protocol"`
	Host     string `json:"host"`
	Ports    string `json:"ports"`
	To       string `json:"to"`
	Applied  bool   `json:"applied"`
}

// SavedInfo is what ports say, with nothing of it applied.
func (p Published) SavedInfo() PublishedInfo {
	info := PublishedInfo{Name: p.Plan.Owner, Published: []PublicationInfo{}}
	for i, port := range p.Ports {
		info.Published = append(info.Published, PublicationInfo{Number: i + 1, Protocol: port.Protocol, Host: port.Host, Ports: port.Ports, To: port.To})
	}
	return info
}

// LiveInfo is SavedInfo with the present state of the kernel, by family.
func (p Published) LiveInfo(there map[bool]SavedRules) PublishedInfo {
	info := p.SavedInfo()
	info.Running, info.Applied = true, true
	for i, port := range p.Ports {
		applied := true
		for six, now := range there {
			one := Published{p.Plan, []vps.Publication{port}}
			for _, r := range one.rules(six) {
				applied = applied && slices.Contains(now.Specs(r.Table, r.Chain), r.Spec)
			}
			for _, j := range publishJumps() {
				applied = applied && (now.Jumps(j) > 0 || len(one.rules(six)) == 0)
			}
		}
		info.Published[i].Applied = applied
		info.Applied = info.Applied && applied
	}
	return info
}
