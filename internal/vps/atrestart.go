package vps

import (
	"slices"

	"croft/internal/fail"
)

// AtRestart makes an edit take effect at the next start of a VPS that runs.
type AtRestart struct{ Edit }

// Apply is that of the edit. An edit of something that other VPSs can take, such as
// an address, is fail.Usage: it takes effect at once or not at all.
func (e AtRestart) Apply(v *VPS) error {
	part := e.Edit.Part()
	if part != "" && !slices.ContainsFunc(liveSettings, func(s liveSetting) bool { return s.part == part }) {
		return fail.New(fail.Usage, "%s of a VPS always change at once: leave out --at-restart", part)
	}
	return e.Edit.Apply(v)
}

// Part is "".
func (AtRestart) Part() Part { return "" }

func (e AtRestart) String() string { return "at restart: " + e.Edit.String() }

// A liveSetting is a setting that a running VPS can follow, and that can wait for its
// next start.
type liveSetting struct {
	option string // that sets it
	part   Part
	same   func(a, b VPS) bool
}

var liveSettings = []liveSetting{
	liveLimit(LimitMemory), liveLimit(LimitSwap), liveLimit(LimitCPUs), liveLimit(LimitPIDs),
	liveLimit(LimitMemoryLow), liveLimit(LimitCPUWeight), liveLimit(LimitIOWeight),
	{"cpuset", PartLimits, func(a, b VPS) bool { return a.Limits.CPUSet == b.Limits.CPUSet }},
	{"io-read", PartLimits, func(a, b VPS) bool { return slices.Equal(a.Limits.IORead, b.Limits.IORead) }},
	{"io-write", PartLimits, func(a, b VPS) bool { return slices.Equal(a.Limits.IOWrite, b.Limits.IOWrite) }},
	{"device", PartDevices, func(a, b VPS) bool { return slices.Equal(a.Devices, b.Devices) }},
	{"mount", PartMounts, func(a, b VPS) bool { return slices.Equal(a.Mounts, b.Mounts) }},
	{"dns", PartGuestFiles, func(a, b VPS) bool { return slices.Equal(a.DNS.Servers, b.DNS.Servers) }},
	{"search", PartGuestFiles, func(a, b VPS) bool { return slices.Equal(a.DNS.Search, b.DNS.Search) }},
}

func liveLimit(l Limit) liveSetting {
	return liveSetting{string(l), PartLimits, func(a, b VPS) bool { return *l.Of(&a.Limits) == *l.Of(&b.Limits) }}
}

// Deferred returns the options whose settings a running VPS gets at its next start
// only, sorted, after edits have changed it from was to now: those that were deferred before,
// without those of parts that are applied now, and with those that the edits
// defer.
func Deferred(before []string, was, now VPS, edits ...Edit) []string {
	applied := Parts(edits...)
	defers := slices.ContainsFunc(edits, func(e Edit) bool { _, ok := e.(AtRestart); return ok })
	var all []string
	for _, s := range liveSettings {
		if !applied[s.part] && (slices.Contains(before, s.option) || defers && !s.same(was, now)) {
			all = append(all, s.option)
		}
	}
	slices.Sort(all)
	return all
}
