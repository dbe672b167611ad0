package checkpoint

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/checkpoint-restore/go-criu/v8/rpc"
	"golang.org/x/sys/unix"
)

// A Host is what saved processes need of the host besides criu.
type Host struct {
	CPU     []string // features, as /proc/cpuinfo names them, sorted
	Cgroups int      // their version; of a hybrid host 1
}

// Host returns what this host has.
func (Criu) Host() (Host, error) {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return Host{}, fmt.Errorf("read the features of the CPUs: %w", err)
	}
	h := Host{CPU: cpuFeatures(string(text)), Cgroups: 1}
	var st unix.Statfs_t
	if unix.Statfs("/sys/fs/cgroup", &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		h.Cgroups = 2
	}
	return h, nil
}

// cpuFeatures returns the features that the first CPU of a /proc/cpuinfo has: "flags" on
// x86, "Features" on ARM.
func cpuFeatures(text string) []string {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); name == "flags" || name == "Features" {
			all := strings.Fields(value)
			slices.Sort(all)
			return slices.Compact(all)
		}
	}
	return nil
}

// cgroupRoots returns what makes criu use the cgroups of the process pid in place of those
// that the saved processes had, which can have other names. text is its /proc/PID/cgroup
// (cgroups(7)).
func cgroupRoots(text string) []*rpc.CgroupRoot {
	var all []*rpc.CgroupRoot
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) != 3 {
			continue
		}
		root := &rpc.CgroupRoot{Path: &fields[2]}
		if fields[1] != "" { // that of version 2 is the one without a name
			root.Ctrl = &fields[1]
		}
		all = append(all, root)
	}
	return all
}
