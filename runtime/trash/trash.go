// Package trash describes the destroyed VPSs that can be restored, and decides
// which one a user means and what it gets back.
package trash

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
)

// An Info is a VPS in the trash, as croft trash list shows it. Its JSON keys are
// stable.
type Info struct {
	Name      vps.Name     `json:"name"`
	ID        string       `json:"id"`
	Destroyed time.Time    `json:"destroyed"`
	Expires   time.Time    `json:"expires"`
	Disk      int64        `json:"diskBytes"`
	Template  string       `json:"template"`
	Digest    string       `json:"digest"`
	Hostname  string       `json:"hostname"`
	IDs       vps.IDRange  `json:"ids"`
	Addresses []netip.Addr `json:"addresses"`
	Files     string       `json:"files"`
	Error     string       `json:"error,omitempty"` // why it cannot be restored
}

// InfoOf describes t.
func InfoOf(t state.Trashed, disk int64) Info {
	info := Info{
		Name: t.Name, ID: t.ID, Destroyed: t.Remains.Destroyed, Expires: t.Expires.UTC(), Disk: disk, Files: t.FSDir(),
		Template: t.VPS.Template.Name, Digest: t.VPS.Template.Digest, Hostname: t.VPS.Hostname, IDs: t.VPS.IDs, Addresses: []netip.Addr{},
	}
	for _, i := range t.Remains.Interfaces {
		info.Addresses = append(info.Addresses, i.Addresses...)
	}
	if t.Err != nil {
		info.Error = t.Err.Error()
	}
	return info
}

// A Choice says which VPS in the trash is meant: the newest one that had the name, or
// the one whose ID begins with ID.
type Choice struct {
	Name vps.Name
	ID   string // "": the newest
}

// ParseChoice reads NAME or NAME@ID.
func ParseChoice(s string) (Choice, error) {
	text, id, exact := strings.Cut(s, "@")
	name, err := vps.ParseName(text)
	if err != nil {
		return Choice{}, err
	}
	if exact && (id == "" || strings.Trim(id, "0123456789abcdef") != "") {
		return Choice{}, fmt.Errorf("invalid id %q of %s in the trash (for example %s@3f9c)", id, name, name)
	}
	return Choice{name, id}, nil
}

func (c Choice) String() string {
	if c.ID == "" {
		return string(c.Name)
	}
	return string(c.Name) + "@" + c.ID
}

// Matching returns those of kept that c can mean, in their order: all of the name, or
// of these the ones whose id begins with the given one.
func (c Choice) Matching(kept []state.Trashed) []state.Trashed {
	var all []state.Trashed
	for _, t := range kept {
		if t.Name == c.Name && strings.HasPrefix(t.ID, c.ID) {
			all = append(all, t)
		}
	}
	return all
}

// Find returns the one that c means. kept has the newest of a name first. It is
// fail.NotFound if there is none, and fail.Usage if the id is ambiguous. others is how
// many older ones have the same name.
func (c Choice) Find(kept []state.Trashed) (found state.Trashed, others int, err error) {
	all := c.Matching(kept)
	switch {
	case len(all) == 0:
		return state.Trashed{}, 0, fail.New(fail.NotFound, "no VPS %q in the trash", c).WithHint("croft trash list")
	case c.ID != "" && len(all) > 1:
		return state.Trashed{}, 0, fail.New(fail.Usage, "the id of %s is ambiguous: %s or %s", c, all[0].ID, all[1].ID).WithHint("croft trash list %s", c.Name)
	}
	return all[0], len(all) - 1, nil
}

// Restored returns the settings of v, from the trash, under the name that it gets. A
// host name that was its name follows.
func Restored(v vps.VPS, name vps.Name) vps.VPS {
	v = v.Clone()
	if v.Hostname == string(v.Name) {
		v.Hostname = string(name)
	}
	v.Name, v.RenamedFrom, v.Detached = name, "", nil
	return v
}

// Ports divides published ports into those that no other VPS has and those that are
// taken. taken is the error of the first of these; nil if there is none.
func Ports(published []vps.Publication, others []vps.VPS) (free, lost []vps.Publication, taken error) {
	for _, p := range published {
		if err := p.CheckFree(others); err != nil {
			lost, taken = append(lost, p), cmp.Or(taken, err)
			continue
		}
		free = append(free, p)
	}
	return free, lost, taken
}
