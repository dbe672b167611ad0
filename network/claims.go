package network

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"croft/internal/vps"
)

// The claims of a network are stored in a journal, networks/NAME.claims. It
// consists of groups of lines; each group is one change. So a change writes
// only a few lines, whatever the number of claims, and one read gets all
// claims.
//
//   claim web eth0 mac=c2:00:00:00:00:02 link=cr-web-x4y2 addresses=10.90.0.2,fd00::2
//   end 5f3a9c01
//
// "claim" replaces the former claim of the same interface, "release OWNER
// INTERFACE" removes it. "end" has the CRC-32 of the lines of its group. An
// incomplete group at the end of the file was cut short by a kill or a power
// failure. The reader ignores it.

const (
	lineClaim   = "claim "
	lineRelease = "release "
	lineEnd     = "end "
)

// manyLines limits the journal: croft rewrites it when it has more lines than
// twice the number of claims plus manyLines.
const manyLines = 256

// kept is the content of a table's files.
type kept struct {
	settings []byte // as this version of croft encodes them
	claims   []Claim
	lines    int  // of the journal
	anew     bool // the journal must be rewritten: it is missing, or its last group is incomplete
	some     bool // claims contains the claims of some owners only
}

// A claimKey identifies a claim by its owner and interface.
type claimKey struct {
	owner vps.Name
	iface string
}

func (c Claim) key() claimKey { return claimKey{c.Owner, c.Interface} }

// decodeClaims reads a journal. It returns the claims of the given owners, or
// all claims if owners is empty.
func decodeClaims(data []byte, owners []vps.Name) (kept, error) {
	text := string(data)
	r := replay{owners: owners, at: map[string]int{}}
	r.some = len(owners) > 0
	if !r.some {
		n := strings.Count(text, "\n"+lineClaim) + 1
		r.at, r.claims, r.addresses = make(map[string]int, n), make([]Claim, 0, n+1), make([]netip.Addr, 0, 2*n)
	}
	whole := 0 // groups
	for ; text != ""; whole++ {
		group, rest, ok := cutGroup(text)
		if !ok && (rest != "" || whole == 0) {
			return kept{}, errors.New("its claims are corrupt")
		}
		if !ok {
			r.anew = true
			break
		}
		for line := range strings.Lines(group) {
			if err := r.line(strings.TrimSuffix(line, "\n")); err != nil {
				return kept{}, err
			}
		}
		text = rest
	}
	if whole == 0 {
		return kept{}, errors.New("its claims are missing")
	}
	r.claims = slices.DeleteFunc(r.claims, func(c Claim) bool { return c.Owner == "" })
	return r.kept, nil
}

// cutGroup returns the lines of the first group of text, and the text after it.
// ok is false if the group is incomplete or its checksum is wrong.
func cutGroup(text string) (group, rest string, ok bool) {
	start := 0
	if !strings.HasPrefix(text, lineEnd) {
		if start = strings.Index(text, "\n"+lineEnd) + 1; start == 0 {
			return "", "", false
		}
	}
	group = text[:start]
	sum, rest, ended := strings.Cut(text[start+len(lineEnd):], "\n")
	return group, rest, ended && sum == checksum([]byte(group))
}

func checksum(lines []byte) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE(lines)) }

// A replay is the state of reading a journal. A released claim stays in the
// slice with an empty owner.
type replay struct {
	kept
	owners    []vps.Name     // read the lines of these owners only; empty: all lines
	at        map[string]int // index in claims; the key is "OWNER INTERFACE"
	addresses []netip.Addr   // of all claims
}

func (r *replay) line(line string) error {
	r.lines++
	if words, ok := strings.CutPrefix(line, lineRelease); ok {
		if !r.counts(words) {
			return nil
		}
		if i, ok := r.at[words]; ok {
			r.claims[i] = Claim{}
			delete(r.at, words)
		}
		return nil
	}
	words, ok := strings.CutPrefix(line, lineClaim)
	if !ok {
		return fmt.Errorf("invalid line %q in its claims", line)
	}
	if !r.counts(words) {
		return nil
	}
	c, err := r.claim(words)
	if err != nil {
		return fmt.Errorf("invalid line %q in its claims: %w", line, err)
	}
	key := words[:min(len(words), len(c.Owner)+1+len(c.Interface))]
	if i, ok := r.at[key]; ok {
		r.claims[i] = c
		return nil
	}
	r.at[key] = len(r.claims)
	r.claims = append(r.claims, c)
	return nil
}

// counts reports whether to read a line. words is the line without its first
// word, so it begins with the owner.
func (r *replay) counts(words string) bool {
	return !r.some || slices.ContainsFunc(r.owners, func(owner vps.Name) bool {
		return len(words) > len(owner) && words[len(owner)] == ' ' && strings.HasPrefix(words, string(owner))
	})
}

// claim parses a line that appendClaim wrote.
func (r *replay) claim(words string) (Claim, error) {
	c := Claim{Addresses: []netip.Addr{}}
	owner, words, _ := strings.Cut(words, " ")
	c.Owner = vps.Name(owner) // checkClaim checks it
	c.Interface, words, _ = strings.Cut(words, " ")
	for words != "" {
		if words[0] == '{' { // to the end of the line
			return c, json.Unmarshal([]byte(words), &c.extra)
		}
		var word string
		word, words, _ = strings.Cut(words, " ")
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch key {
		case "mac":
			c.MAC = value
		case "link":
			c.HostLink = value
		case "addresses":
			c.Addresses, err = r.addressList(value)
		case "connections":
			c.Connections, err = strconv.ParseInt(value, 10, 64)
		default:
			err = fmt.Errorf("unknown word %q", word)
		}
		if err != nil {
			return Claim{}, err
		}
	}
	return c, nil
}

func (r *replay) addressList(list string) ([]netip.Addr, error) {
	first := len(r.addresses)
	for list != "" {
		var text string
		text, list, _ = strings.Cut(list, ",")
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, err
		}
		r.addresses = append(r.addresses, a)
	}
	return r.addresses[first:len(r.addresses):len(r.addresses)], nil
}

// appendClaim appends the line of c to lines.
func appendClaim(lines []byte, c Claim) ([]byte, error) {
	lines = append(append(append(append(lines, lineClaim...), c.Owner...), ' '), c.Interface...)
	for _, w := range []struct{ key, value string }{{" mac=", c.MAC}, {" link=", c.HostLink}} {
		if w.value != "" {
			lines = append(append(lines, w.key...), w.value...)
		}
	}
	for i, a := range c.Addresses {
		separator := ","
		if i == 0 {
			separator = " addresses="
		}
		lines = a.AppendTo(append(lines, separator...))
	}
	if c.Connections != 0 {
		lines = strconv.AppendInt(append(lines, " connections="...), c.Connections, 10)
	}
	if len(c.extra) > 0 {
		extra, err := json.Marshal(c.extra)
		if err != nil {
			return nil, err
		}
		lines = append(append(lines, ' '), extra...)
	}
	return append(lines, '\n'), nil
}

// group makes lines one change.
func group(lines []byte) []byte {
	return fmt.Appendf(lines, "%s%s\n", lineEnd, checksum(lines))
}

// wholeJournal is a journal of these claims alone.
func wholeJournal(claims []Claim) (lines []byte, err error) {
	for _, c := range claims {
		if lines, err = appendClaim(lines, c); err != nil {
			return nil, err
		}
	}
	return group(lines), nil
}

// difference is the lines that make old claims new ones; none if they are the same.
func difference(old, new []Claim) (lines []byte, n int, err error) {
	for len(old) > 0 && len(new) > 0 && old[0].same(new[0]) {
		old, new = old[1:], new[1:]
	}
	for len(old) > 0 && len(new) > 0 && old[len(old)-1].same(new[len(new)-1]) {
		old, new = old[:len(old)-1], new[:len(new)-1]
	}
	now := make(map[claimKey]bool, len(new))
	for _, c := range new {
		now[c.key()] = true
	}
	before := make(map[claimKey]Claim, len(old))
	for _, c := range old {
		before[c.key()] = c
		if !now[c.key()] {
			lines = fmt.Appendf(lines, "%s%s %s\n", lineRelease, c.Owner, c.Interface)
			n++
		}
	}
	for _, c := range new {
		if was, ok := before[c.key()]; ok && was.same(c) {
			continue
		}
		if lines, err = appendClaim(lines, c); err != nil {
			return nil, 0, err
		}
		n++
	}
	return lines, n, nil
}

// same reports whether c and o are the same claim of the same things.
func (c Claim) same(o Claim) bool {
	return c.key() == o.key() && c.MAC == o.MAC && c.HostLink == o.HostLink && c.Connections == o.Connections &&
		slices.Equal(c.Addresses, o.Addresses) && maps.EqualFunc(c.extra, o.extra, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) })
}
