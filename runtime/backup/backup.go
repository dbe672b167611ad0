// Package backup decides about backups of VPSs: which settings an archive has, and which
// a VPS has that is restored from it. It is pure.
package backup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
)

// format is the format of the settings in an archive that this croft writes. A change
// that an older croft must not ignore has a higher number.
const format = 1

// A Document is the settings in an archive. Its JSON keys are stable.
type Document struct {
	Format   int       `json:"format"`
	Created  time.Time `json:"created"`
	Snapshot string    `json:"snapshot,omitempty"` // that it was made of
	Running  bool      `json:"running,omitempty"`  // the VPS ran
	Started  bool      `json:"started,omitempty"`  // it has had its first start
	Fitted   []string  `json:"fitted,omitempty"`   // the steps that this made
	Taken    *Taken    `json:"taken,omitempty"`    // of a snapshot
	// VPS is its vps.json without what belongs to one host: layers and ids, except for
	// their number.
	VPS        vps.VPS               `json:"vps"`
	Interfaces []state.HeldInterface `json:"interfaces"` // what the tables of the networks have
}

// Of returns the document for v, whose interfaces have held.
func Of(v vps.VPS, held []state.HeldInterface, now time.Time) Document {
	v = v.Clone()
	v.Frozen, v.IDs.First = nil, 0
	v.Ephemeral, v.Runner, v.Creator, v.Detached, v.RenamedFrom = false, vps.Runner{}, vps.Runner{}, nil, ""
	v.Reinstalled, v.Restored = false, ""
	return Document{Format: format, Created: now.UTC().Truncate(time.Second), VPS: v, Interfaces: held}
}

// Parse reads a document. Settings that this croft does not know are left out, and the
// first of them is returned in words; a document that it cannot use is fail.Usage.
func Parse(b []byte) (d Document, unknown string, err error) {
	strict := json.NewDecoder(bytes.NewReader(b))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&d); err != nil {
		unknown = err.Error()
		d = Document{}
	}
	if unknown != "" {
		if err := json.Unmarshal(b, &d); err != nil {
			return Document{}, "", fail.New(fail.Usage, "the settings in the archive are damaged: %w", err)
		}
	}
	switch {
	case d.Format < 1:
		err = errors.New("they have no format")
	case d.Format > format || d.VPS.Schema > state.Schema:
		return Document{}, "", fail.New(fail.Usage, "the archive was written by a newer croft (format %d, settings %d)", d.Format, d.VPS.Schema)
	case d.VPS.UUID == "":
		err = errors.New("they have no UUID")
	default:
		err = d.VPS.Check()
	}
	if err != nil {
		return Document{}, "", fail.New(fail.Usage, "the settings in the archive are damaged: %w", err)
	}
	return d, strings.TrimPrefix(unknown, "json: "), nil
}

// A Choice says what differs from the archive.
type Choice struct {
	Name      vps.Name          // "": that of the archive
	Networks  map[string]string // the networks to use for those of the archive
	NoNetwork bool              // it gets no interfaces
	Addresses []vps.AddAddress  // see readdress
}

// A Restored is what a VPS gets from an archive.
type Restored struct {
	VPS     vps.VPS
	Held    []state.HeldInterface // what its interfaces should own
	Started bool                  // it has had its first start
	Fitted  []string              // the steps that this made
	Without []string              // of its settings, what it does not get, in words
}

// Restore returns what the VPS gets. A network that Networks names and the VPS does not
// have is fail.Usage.
func (d Document) Restore(c Choice) (Restored, error) {
	r := Restored{VPS: d.VPS.Clone(), Started: d.Started, Fitted: slices.Clone(d.Fitted)}
	v := &r.VPS
	if c.Name != "" && v.Hostname == string(v.Name) {
		v.Hostname = string(c.Name)
	}
	if c.Name != "" {
		v.Name = c.Name
	}
	v.Schema, v.Frozen, v.IDs.First = state.Schema, nil, 0
	v.Ephemeral, v.Runner, v.Creator, v.Detached, v.RenamedFrom = false, vps.Runner{}, vps.Runner{}, nil, ""
	v.Reinstalled, v.Restored = false, ""
	if len(v.Credentials) > 0 {
		var names []string
		for _, c := range v.Credentials {
			names = append(names, c.Name)
		}
		r.Without = append(r.Without, "credentials "+strings.Join(names, ", "))
		v.Credentials = nil
	}
	if c.NoNetwork {
		if len(v.Published) > 0 {
			r.Without = append(r.Without, "published ports")
		}
		v.Interfaces, v.Published = nil, nil
		return r, r.readdress(c.Addresses)
	}
	for old := range c.Networks {
		if !slices.ContainsFunc(v.Interfaces, func(i vps.Interface) bool { return i.Network == old }) {
			return Restored{}, fail.New(fail.Usage, "--network: the VPS in the archive has no network %q", old)
		}
	}
	for n := range v.Interfaces {
		if to := c.Networks[v.Interfaces[n].Network]; to != "" {
			v.Interfaces[n].Network = to
		}
	}
	for _, h := range d.Interfaces {
		if to := c.Networks[h.Network]; to != "" {
			h.Network = to
		}
		if slices.ContainsFunc(v.Interfaces, func(i vps.Interface) bool { return i.Name == h.Name && i.Network == h.Network }) {
			r.Held = append(r.Held, h)
		}
	}
	if err := r.readdress(c.Addresses); err != nil {
		return Restored{}, err
	}
	return r, v.Check()
}

// readdress gives interfaces other addresses instead of those of the same family that they
// had. An address without an interface is for the first one.
func (r *Restored) readdress(all []vps.AddAddress) error {
	r.Held = slices.Clone(r.Held)
	changed := map[string]bool{}
	for _, a := range all {
		n := 0
		if a.Interface != "" {
			n = slices.IndexFunc(r.VPS.Interfaces, func(i vps.Interface) bool { return i.Name == a.Interface })
		}
		if n < 0 || n >= len(r.VPS.Interfaces) {
			return fail.New(fail.Usage, "--ip: the VPS in the backup has no interface for %s", a.Text())
		}
		i := r.VPS.Interfaces[n]
		at := slices.IndexFunc(r.Held, func(h state.HeldInterface) bool { return h.Name == i.Name && h.Network == i.Network })
		if at < 0 {
			r.Held, at = append(r.Held, state.HeldInterface{Name: i.Name, Network: i.Network, Connections: vps.DefaultConnections}), len(r.Held)
		}
		h := &r.Held[at]
		if family := fmt.Sprint(i.Name, a.Address.Is4()); !changed[family] {
			changed[family] = true
			h.Addresses = slices.DeleteFunc(slices.Clone(h.Addresses), func(old netip.Addr) bool { return old.Is4() == a.Address.Is4() })
		}
		h.Addresses = append(h.Addresses, a.Address)
	}
	return nil
}

// TemplateName returns the name that the image of a backup of v gets in the store, as a
// former image: that of its template, as far as the text of the user has one.
func TemplateName(v vps.VPS, valid func(string) error) string {
	name, _, _ := strings.Cut(v.Template.Name, "@")
	if valid(name) != nil {
		return "imported"
	}
	return name
}

// Other returns in words which of the interfaces have other MACs than they had.
func Other(had, have []state.HeldInterface) []string {
	var all []string
	for _, h := range had {
		for _, now := range have {
			if now.Name == h.Name && h.MAC != "" && now.MAC != h.MAC {
				all = append(all, fmt.Sprintf("%s (now %s)", h.MAC, now.MAC))
			}
		}
	}
	return all
}
