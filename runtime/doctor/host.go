package doctor

import (
	"fmt"

	"croft/internal/sizes"
)

// Host are the facts about the host that all VPSs share.
type Host struct {
	Dir        string // the state directory
	FreeBytes  uint64 // of its filesystem
	FreeInodes uint64
	Limits     []HostLimit
}

// A HostLimit is a limit of the host's kernel that is too low, or nearly reached.
type HostLimit struct{ Cause, Remedy string }

// OfHost says what is wrong with the host, for all its VPSs.
func OfHost(h Host) []Finding {
	const leastBytes, leastInodes = 64 << 20, 1000
	var all []Finding
	if h.FreeBytes < leastBytes || h.FreeInodes < leastInodes {
		cause := fmt.Sprintf("%s and %d inodes are free for the files of VPSs (%s)", sizes.Text(int64(h.FreeBytes)), h.FreeInodes, h.Dir)
		all = append(all, Finding{"", Failure, "disk", cause, command("df -h %s", h.Dir)})
	}
	for _, l := range h.Limits {
		all = append(all, Finding{"", Warning, "limit of the host", l.Cause, l.Remedy})
	}
	return all
}
