package moves

import (
	"fmt"
	"slices"
	"strings"

	"croft/internal/vps"
)

// Live is what processes depend on that are saved on one host and made again on another.
type Live struct {
	Criu    string      `json:"criu"`    // its version
	Kernel  string      `json:"kernel"`  // its release
	CPU     []string    `json:"cpu"`     // features of the CPUs, as /proc/cpuinfo names them
	Cgroups int         `json:"cgroups"` // the version that the host has; of a hybrid one 1
	IDs     vps.IDRange `json:"ids"`     // of the VPS, which the processes keep; of an offer
}

// Lacks returns in words why processes that are saved on the host l cannot be made again on
// the host there.
func (l Live) Lacks(there Live) []string {
	var all []string
	if l.Criu != there.Criu {
		all = append(all, fmt.Sprintf("criu is %s here and %s there, and the same version is needed", l.Criu, there.Criu))
	}
	if older(there.Kernel, l.Kernel) {
		all = append(all, fmt.Sprintf("the kernel there is %s, older than %s here", there.Kernel, l.Kernel))
	}
	if l.Cgroups != there.Cgroups {
		all = append(all, fmt.Sprintf("cgroups have version %d here and %d there", l.Cgroups, there.Cgroups))
	}
	var missing []string
	for _, f := range l.CPU {
		if !slices.Contains(there.CPU, f) {
			missing = append(missing, f)
		}
	}
	if len(missing) > 0 {
		all = append(all, "the CPUs there do not have "+strings.Join(missing, ", "))
	}
	return all
}

// older reports whether the release a of a kernel is older than b: their first two numbers
// count.
func older(a, b string) bool {
	var x, y [2]int
	if _, err := fmt.Sscanf(a, "%d.%d", &x[0], &x[1]); err != nil {
		return true
	}
	if _, err := fmt.Sscanf(b, "%d.%d", &y[0], &y[1]); err != nil {
		return true
	}
	return x[0] < y[0] || x[0] == y[0] && x[1] < y[1]
}
