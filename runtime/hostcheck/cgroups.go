package hostcheck

import (
	"slices"
	"strings"
)

func cgroupRules() []rule { return []rule{cgroups, cgroupManager, controllers} }

func cgroups(f Facts) []Check {
	const name, what = "cgroups", "keeping the processes of a VPS together, and limiting them"
	switch f.Cgroups.World {
	case "v2":
		return good(name, what, "version 2")
	case "hybrid":
		return good(name, what, "version 1, and version 2 beside it, which VPSs see")
	case "v1":
		return bad(Warning, name, what, "version 1 alone", "boot with systemd.unified_cgroup_hierarchy=1, or: "+
			"mkdir /sys/fs/cgroup/unified; mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified")
	}
	return bad(Missing, name, what, "none are mounted", "mount -t cgroup2 cgroup2 /sys/fs/cgroup")
}

func cgroupManager(f Facts) []Check {
	const name, what = "cgroup manager", "making the cgroups of VPSs"
	switch {
	case f.Cgroups.Manager != "systemd":
		return good(name, what, "croft itself, by the kernel's file system")
	case !f.Cgroups.Reachable:
		return bad(Missing, name, what, "systemd, which has no socket to talk to", "systemctl start dbus.socket")
	}
	return good(name, what, "systemd, as scopes in croft.slice")
}

// controllers are for limits. A VPS without limits does without.
func controllers(f Facts) []Check {
	const name, what = "cgroup controllers", "limits of memory, CPUs, processes and the like"
	if f.Cgroups.World == "" {
		return nil
	}
	var gone []string
	for _, c := range []string{"memory", "cpu", "pids", "cpuset", "io"} {
		if !slices.Contains(f.Cgroups.Controllers, c) {
			gone = append(gone, c)
		}
	}
	if len(gone) == 0 {
		return good(name, what, "memory, cpu, pids, cpuset, io")
	}
	remedy := "boot a kernel that has them, and without cgroup_disable="
	if slices.Contains(gone, "memory") {
		remedy = "boot with cgroup_enable=memory, and without cgroup_disable="
	}
	return bad(Warning, name, what, "no "+strings.Join(gone, ", "), remedy)
}
