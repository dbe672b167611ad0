package network

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"croft/internal/fail"
)

// Salvage reads a table whose claims Decode refuses. It keeps the claims from
// intact groups of the journal, except claims that contradict newer ones.
// Changes of such a table rewrites all of it. If the settings are unreadable,
// it returns fail.State, because no other file has the mode and the prefixes.
// It also returns fail.State, with the table, for a newer schema.
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
			_ = r.line(strings.TrimSuffix(line, "\n")) // unreadable lines add no claim
		}
	}
	t.Claims = t.consistent(r.claims)
	if err := t.check(); err != nil {
		return Table{}, fail.New(fail.State, "network %q: %w", t.Name, err)
	}
	return t, nil
}

// wholeGroups returns the groups of a journal with correct checksums.
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

// consistent returns the valid claims, from the newest to the oldest, that do
// not contradict newer ones. If a release was lost, the older owner still has a
// claim in the journal.
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
