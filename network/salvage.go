package network

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"croft/internal/fail"
)

// Salvage reads a table whose claims Decode refuses: it has the claims of those
// groups of the journal that are as they were written, without what contradicts
// another claim. Changes of such a table are all of it. Settings that cannot be
// read are fail.State: no other file says the mode and the prefixes. So is a table
// of a newer schema, which it returns.
func Salvage(f Files) (Table, error) {
	var t Table
	if err := json.Unmarshal(f.Settings, &t); err != nil {
		return Table{}, fail.New(fail.State, "read network: %w", err)
	}
	if t.Schema < ownClaims || t.Schema > Schema {
		_, err := Decode(f) // the claims are among the settings, or of a newer croft
		return t, err
	}
	r := replay{at: map[string]int{}}
	for _, group := range wholeGroups(string(f.Claims)) {
		for line := range strings.Lines(group) {
			_ = r.line(strings.TrimSuffix(line, "\n")) // what cannot be read claims nothing
		}
	}
	t.Claims = t.consistent(r.claims)
	if err := t.check(); err != nil {
		return Table{}, fail.New(fail.State, "network %q: %w", t.Name, err)
	}
	return t, nil
}

// wholeGroups are the groups of a journal whose checksums are right.
func wholeGroups(text string) (groups []string) {
	for text != "" {
		group, rest, ok := cutGroup(text)
		if ok {
			groups = append(groups, group)
		}
		text = rest // "" if no group ends any more
	}
	return groups
}

// consistent are those of claims, from the newest to the oldest, that make sense
// beside the others: a release that was lost leaves an older owner.
func (t Table) consistent(claims []Claim) []Claim {
	taken := map[string]bool{}
	addresses := map[netip.Addr]bool{}
	var kept []Claim
	for _, c := range slices.Backward(claims) {
		alone := t
		alone.Claims = []Claim{c}
		if c.Owner == "" || alone.checkClaims() != nil ||
			c.MAC != "" && taken[c.MAC] || c.HostLink != "" && taken[c.HostLink] ||
			slices.ContainsFunc(c.Addresses, func(a netip.Addr) bool { return addresses[a] }) {
			continue
		}
		taken[c.MAC], taken[c.HostLink] = true, true
		for _, a := range c.Addresses {
			addresses[a] = true
		}
		kept = append(kept, c)
	}
	slices.Reverse(kept)
	return kept
}
