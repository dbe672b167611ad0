package host

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"croft/network"
)

// A start compares the rules of a network with the output of iptables-save, which is a
// process for each family. iptables keeps its rules in nf_tables, where croft can read them,
// but not understand all of them. So croft notes what the kernel had when the rules were right:
// as long as that is the same, they are right. Rules of an iptables that does not use nf_tables
// (iptables-legacy) are compared each time.

// rulesInKernel returns a checksum of all rules in the chains of croft, and in those that jump to
// them, in their order, without their counters. It is "" if nf_tables has no rules in the chains
// of croft, or one that cannot be read.
func (h *Host) rulesInKernel(six bool) string {
	family := nftables.TableFamilyIPv4
	if six {
		family = nftables.TableFamilyIPv6
	}
	sum := sha256.New()
	found := false
	for _, j := range network.Jumps() {
		for _, chain := range []string{j.From, j.To} {
			table := &nftables.Table{Name: j.Table, Family: family}
			rules, err := h.nft.GetRules(table, &nftables.Chain{Name: chain, Table: table})
			if err != nil {
				return ""
			}
			fmt.Fprintf(sum, "chain %q %q\n", j.Table, chain)
			for _, r := range rules {
				if !addRule(sum, r) {
					return ""
				}
			}
			found = found || chain == j.To && len(rules) > 0
		}
	}
	if !found {
		return ""
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// addRule writes what a rule does to sum, and reports whether all of it is known.
func addRule(sum io.Writer, r *nftables.Rule) bool {
	fmt.Fprintf(sum, "rule %q\n", r.UserData)
	for _, e := range r.Exprs {
		if _, counts := e.(*expr.Counter); counts {
			continue
		}
		data, err := expr.Marshal(byte(r.Table.Family), e)
		if err != nil {
			return false
		}
		fmt.Fprintf(sum, "%q\n", data)
	}
	return true
}

// seenRules is the text that notes that the kernel's rules, with this checksum, are what want says.
func seenRules(want []network.Rule, kernel string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%#v", want))
	return fmt.Sprintf("%x\n%s\n", sum, kernel)
}

// seenFile is the file with the rules of a network that were right. It is "" if none is kept.
func (h *Host) seenFile(name string, six bool) string {
	if six {
		return h.noteFile(name + "-ipv6")
	}
	return h.noteFile(name + "-ipv4")
}

// seenRight reports whether the kernel's rules were what want says when they were compared.
func (h *Host) seenRight(name string, six bool, want []network.Rule, kernel string) bool {
	file := h.seenFile(name, six)
	if file == "" || kernel == "" {
		return false
	}
	text, err := os.ReadFile(file)
	return err == nil && string(text) == seenRules(want, kernel)
}

// noteRight notes that the kernel's rules, as they were before they were compared, are what
// want says. An error is ignored: they are compared again then.
func (h *Host) noteRight(name string, six bool, want []network.Rule, kernel string) {
	file := h.seenFile(name, six)
	if file == "" || kernel == "" || h.rulesInKernel(six) != kernel { // they changed meanwhile
		return
	}
	h.note(file, seenRules(want, kernel))
}

// forgetRules removes the notes about a network, and ends the series.
func (h *Host) forgetRules(name string) {
	for _, file := range []string{h.seenFile(name, false), h.seenFile(name, true), h.rightFile(name), h.seriesFile()} {
		if file != "" {
			_ = os.Remove(file)
		}
	}
	_ = os.Remove(h.Seen) // if it is empty
}
