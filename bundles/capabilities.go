package bundles

import (
	"slices"

	"croft/internal/vps"
)

// Capabilities returns the capabilities of the init of a VPS, and of every other
// program in it, as OCI writes them (CAP_NET_RAW), in the order of their numbers.
//
// By default they are all but the useless ones. Allow and CapAdd with ALL give these
// too, CapDrop with ALL gives none; then single ones are added and dropped.
func Capabilities(s Settings) []string {
	caps := []string{}
	for _, name := range vps.Capabilities() {
		c := "CAP_" + name
		if s.has(name) && (s.HostCaps == nil || slices.Contains(s.HostCaps, c)) {
			caps = append(caps, c)
		}
	}
	return caps
}

// has reports whether the settings give the capability of that name.
func (s Settings) has(name string) bool {
	switch {
	case slices.Contains(s.CapDrop, name):
		return false
	case slices.Contains(s.CapAdd, name):
		return true
	case slices.Contains(s.CapDrop, vps.AllCapabilities):
		return false
	}
	return !slices.Contains(useless(), name) || slices.Contains(s.CapAdd, vps.AllCapabilities) ||
		slices.Contains(s.Allow, vps.AllowCapabilities) && s.Size != 0
}

// useless are the capabilities that give nothing in a user namespace: the kernel
// asks for each in the host's (capable() and not ns_capable(), Linux 6.18). Without
// them units skip themselves by ConditionCapability=, instead of failing. The
// exceptions are the clocks of a time namespace that the VPS makes itself
// (CAP_SYS_TIME), and the policy of an AppArmor namespace of its own
// (CAP_MAC_ADMIN), which croft makes none of. Docker before 23 fails to run a
// privileged container where one of them is missing. In a privileged VPS they reach
// the host.
//
// CAP_AUDIT_WRITE is useless too, but Docker gives it to its containers, and fails
// where it has not got it.
func useless() []string {
	return []string{"SYS_MODULE", "SYS_RAWIO", "SYS_TIME", "AUDIT_CONTROL", "AUDIT_READ", "MAC_OVERRIDE", "MAC_ADMIN"}
}
