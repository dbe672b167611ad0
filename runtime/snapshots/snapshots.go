// Package snapshots decides about snapshots of VPSs: their names, which have expired,
// and which settings a VPS has after a restore or as a clone. It is pure.
package snapshots

import (
	"slices"
	"time"

	"croft/internal/state"
	"croft/internal/vps"
)

// Info is what croft snapshot list prints of a snapshot.
type Info struct {
	VPS         vps.Name   `json:"vps"`
	Name        string     `json:"name"`
	Created     time.Time  `json:"created"`
	Expires     *time.Time `json:"expires"` // null: never
	Description string     `json:"description"`
	Running     bool       `json:"running"` // the VPS ran
	// PauseMilliseconds is how long a running VPS stood still.
	PauseMilliseconds int64  `json:"pauseMilliseconds"`
	Template          string `json:"template"`
	Layers            int    `json:"layers"` // above those of the template
	// Mounted are the directories of the host on which it is mounted.
	Mounted []string `json:"mounted"`
	Error   string   `json:"error,omitempty"` // why its file cannot be read
}

// InfoOf describes a snapshot of the VPS name.
func InfoOf(name vps.Name, n state.Snapshot) Info {
	i := Info{
		VPS: name, Name: n.Name, Created: n.Created, Expires: n.Expires, Description: n.Description, Running: n.Running,
		PauseMilliseconds: n.PauseMilliseconds, Template: n.VPS.Template.Name, Layers: len(n.VPS.Frozen), Mounted: []string{},
	}
	if n.Err != nil {
		i.Error = n.Err.Error()
	}
	return i
}

// NameAt returns the name of a snapshot that the user has not named: the time, in UTC.
func NameAt(t time.Time) string { return t.UTC().Format("20060102-150405") }

// Expired returns the snapshots that have expired at the given time.
func Expired(all []state.Snapshot, now time.Time) []state.Snapshot {
	return slices.DeleteFunc(slices.Clone(all), func(n state.Snapshot) bool {
		return n.Err != nil || n.Expires == nil || n.Expires.After(now)
	})
}

// Restored returns the settings of v with the files of the snapshot. Those of a plain tree
// are in a directory that v does not use yet.
func Restored(v vps.VPS, n state.Snapshot) vps.VPS {
	v = v.Clone()
	v.Frozen, v.Template, v.Storage = n.VPS.Frozen, n.VPS.Template, n.VPS.Storage
	if v.Storage == vps.StoragePlain {
		v.Frozen, v.Tree = nil, v.OtherTree()
	} else {
		v.Tree = ""
	}
	v.Restored = vps.RestoredStarted
	if n.NeverStarted {
		v.Restored = vps.RestoredNeverStarted
	}
	return v
}

// Settings returns the settings of v as they were at the snapshot. v keeps what says
// which VPS it is, its files, its ids, and the addresses of the interfaces that it has
// now.
func Settings(v vps.VPS, n state.Snapshot) vps.VPS {
	then := n.VPS.Clone()
	then.Schema, then.Name, then.UUID, then.Created = v.Schema, v.Name, v.UUID, v.Created
	then.Template, then.Frozen, then.IDs, then.Privileged = v.Template, v.Frozen, v.IDs, v.Privileged
	then.Storage, then.Tree = v.Storage, v.Tree
	then.Credentials = v.Credentials // their values are not part of a snapshot
	then.Ephemeral, then.Runner, then.Creator, then.Detached, then.RenamedFrom = v.Ephemeral, v.Runner, v.Creator, v.Detached, v.RenamedFrom
	then.Reinstalled, then.Restored = v.Reinstalled, v.Restored
	for i := range then.Interfaces {
		for _, now := range v.Interfaces {
			if t := &then.Interfaces[i]; t.Name == now.Name && t.Network == now.Network {
				t.Addresses, t.Connections, t.Prefixes, t.Tracked = now.Addresses, now.Connections, now.Prefixes, now.Tracked
			}
		}
	}
	return then
}

// Cloned returns the settings of a new VPS with the files and settings of v, and what
// it does not get of them, in words. It has an identity of its own: it gets addresses,
// MACs and ids when it is created, and ports of the host belong to v.
func Cloned(v vps.VPS, name vps.Name, uuid string, now time.Time) (c vps.VPS, without []string) {
	c = v.Clone()
	c.Name, c.UUID, c.Created = name, uuid, now
	if c.Hostname == string(v.Name) {
		c.Hostname = string(name)
	}
	if len(c.Credentials) > 0 {
		c.Credentials, without = nil, append(without, "credentials")
	}
	if len(c.Published) > 0 {
		c.Published, without = nil, append(without, "published ports")
	}
	for i := range c.Interfaces {
		t := &c.Interfaces[i]
		t.MAC, t.Addresses = "", nil
		t.Prefixes, t.Tracked = nil, false
	}
	c.IDs.First = 0
	c.Protected, c.Ephemeral, c.Runner, c.Creator = false, false, vps.Runner{}, vps.Runner{}
	c.Detached, c.RenamedFrom, c.Reinstalled, c.Restored = nil, "", false, ""
	return c, without
}
