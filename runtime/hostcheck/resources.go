package hostcheck

import (
	"fmt"
	"slices"
	"strings"

	"croft/runtime/hostlimits"
)

func resourceRules() []rule {
	all := []rule{namespaceLimits}
	for _, l := range hostlimits.Needed() {
		all = append(all, limitRule(l))
	}
	return append(all, userIDs, space, diskLimits, templateTools, criu, atBoot)
}

// limitRule checks that a limit of the kernel is high enough for the VPSs there are.
func limitRule(l hostlimits.Limit) rule {
	return func(f Facts) []Check {
		have, ok := f.sysctl(l.Key)
		if !ok {
			return nil // this kernel has no such limit
		}
		need := l.Least + l.Each*int64(f.VPSs)
		found := fmt.Sprint(have)
		if l.Each > 0 {
			found = fmt.Sprintf("%d, enough for %d VPSs", have, max(0, (have-l.Least)/l.Each))
		}
		if have >= need {
			return good(l.Key, l.What, found)
		}
		if l.Each > 0 {
			found += fmt.Sprintf(" of %d", f.VPSs)
		}
		return bad(Warning, l.Key, l.What, found, fmt.Sprintf("sysctl -w %s=%d", l.Key, max(l.Value, 2*need)))
	}
}

// namespaceLimits: namespaces that are created inside a VPS count for that VPS
// alone, with the limit of the host. Another check reports a host without any
// user namespace.
func namespaceLimits(f Facts) []Check {
	const name, what = "namespace limits", "namespaces of services and containers inside; for each VPS on its own"
	const need, value = 128, 65536
	var low, remedy []string
	for _, kind := range []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"} {
		key := "user.max_" + kind + "_namespaces"
		if have, ok := f.sysctl(key); ok && have < need {
			low = append(low, fmt.Sprintf("%s is %d", key, have))
			remedy = append(remedy, fmt.Sprintf("%s=%d", key, int64(value)))
		}
	}
	if len(low) > 0 {
		return bad(Warning, name, what, strings.Join(low, ", "), "sysctl -w "+strings.Join(remedy, " "))
	}
	return good(name, what, "enough")
}

func userIDs(f Facts) []Check {
	const name, what = "free user ids", "ids of its own for each new VPS"
	const few = 16
	const remedy = "croft list; destroy VPSs that are not needed, or remove ranges from /etc/subuid and /etc/subgid"
	found := fmt.Sprintf("for %d more VPSs", f.FreeIDs)
	switch {
	case f.IDsWhy != "":
		return bad(Warning, name, what, f.IDsWhy, "croft list")
	case f.FreeIDs == 0 && f.VPSs == 0:
		return bad(Missing, name, what, "none", remedy)
	case f.FreeIDs < few:
		return bad(Warning, name, what, found, remedy)
	}
	return good(name, what, found)
}

func space(f Facts) []Check {
	const name = "disk space"
	const leastBytes, leastInodes = 1 << 30, 100_000
	what := "templates and files of VPSs (" + f.StateDir + ")"
	const mib = 1 << 20
	found := fmt.Sprintf("%d MiB free", f.FreeBytes/mib)
	switch {
	case f.FreeBytes < leastBytes:
		return bad(Warning, name, what, found, "free some, or give croft another place by CROFT_ROOT")
	case f.FreeInodes < leastInodes:
		return bad(Warning, name, what, fmt.Sprintf("%s, but only %d inodes", found, f.FreeInodes), "free some, or give croft another place by CROFT_ROOT")
	}
	return good(name, what, found)
}

func diskLimits(f Facts) []Check {
	const name, what = "disk limits", "--disk: a project quota, or an image with a file system for each VPS"
	switch {
	case f.QuotaWhy == "":
		return good(name, what, "by project quotas; more and less also for a running VPS")
	case f.DiskWhy != "":
		remedy := f.install([5]string{"e2fsprogs", "e2fsprogs", "e2fsprogs", "e2fsprogs", "e2fsprogs"})
		if !strings.Contains(f.DiskWhy, "not installed") {
			remedy = "modprobe -a loop ext4"
		}
		return bad(Warning, name, what, f.DiskWhy, remedy)
	case slices.Contains(f.BoundingCaps, "SYS_RESOURCE"):
		return good(name, what, "by images; only a stopped VPS gets more, because this host has no CAP_SYS_RESOURCE"+f.quotasOff())
	}
	return good(name, what, "by images; also a running VPS can get more"+f.quotasOff())
}

// quotasOff says how to switch on project quotas, where the file system can have them.
func (f Facts) quotasOff() string {
	const begin = "; for project quotas: "
	feature := "tune2fs -O project -Q prjquota " + f.Device
	switch {
	case f.Device == "" || f.Filesystem != "ext4" && f.Filesystem != "xfs":
		return ""
	case f.MountPoint == "/" && f.Filesystem == "ext4":
		return begin + feature + " in a rescue system, and rootflags=prjquota on the command line of the kernel"
	case f.MountPoint == "/":
		return begin + "rootflags=prjquota on the command line of the kernel"
	case f.Filesystem == "ext4":
		return fmt.Sprintf("%sstop all VPSs; umount %s && %s && mount -o prjquota %[4]s %[2]s, and the same option in /etc/fstab", begin, f.MountPoint, feature, f.Device)
	}
	return fmt.Sprintf("%sstop all VPSs; umount %s && mount -o prjquota %s %[2]s, and the same option in /etc/fstab", begin, f.MountPoint, f.Device)
}

// criu: a host without it runs VPSs as well, so a missing one is no fault.
func criu(f Facts) []Check {
	const name, what = "criu", "croft checkpoint: processes that continue after a stop"
	switch {
	case f.CriuWhy != "" && f.Criu != "":
		return bad(Warning, name, what, f.CriuWhy, "install a newer criu: https://criu.org")
	case f.CriuWhy != "":
		return bad(Warning, name, what, f.CriuWhy, f.install([5]string{"criu", "criu", "criu", "criu", "criu"}))
	case slices.Contains(f.BoundingCaps, "SYS_RESOURCE"):
		return good(name, what, "criu "+f.Criu+"; only for privileged VPSs, because this host has no CAP_SYS_RESOURCE")
	}
	return good(name, what, "criu "+f.Criu)
}

func templateTools(f Facts) []Check {
	const name, what = "template tools", "croft template build of Debian"
	if f.BuilderWhy != "" {
		remedy := f.install([5]string{
			"mmdebstrap debian-archive-keyring", "debootstrap debian-keyring", "debootstrap debian-archive-keyring",
			"debootstrap debian-archive-keyring", "debootstrap debian-keyring",
		})
		return bad(Warning, name, what, f.BuilderWhy, remedy)
	}
	return good(name, what, f.Builder)
}

func atBoot(f Facts) []Check {
	const name, what = "croft at boot", "starting VPSs when the host boots, and stopping them when it shuts down"
	enable := map[string]string{
		"systemd": "systemctl enable --now croft.service",
		"openrc":  "rc-update add croft default",
		"sysv":    "update-rc.d croft defaults",
	}[f.Boot.System]
	switch {
	case f.Boot.System == "":
		return bad(Warning, name, what, "unknown init system", "run croft host boot at startup and croft host shutdown at shutdown")
	case !f.Boot.Installed:
		return bad(Warning, name, what, "not installed", "make install; "+enable)
	case !f.Boot.Enabled:
		return bad(Warning, name, what, "not enabled", enable)
	case f.Boot.System == "systemd" && !f.Boot.Active:
		return bad(Warning, name, what, "enabled, not active: a shutdown would kill VPSs", enable)
	}
	return good(name, what, "by "+f.Boot.System)
}
