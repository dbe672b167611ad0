package hostcheck

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func foundationRules() []rule {
	return []rule{
		kernel, capabilities, userNamespaces, namespaces, timeNamespaces, shiftedLayers, overlay, runDirectory, seccomp,
		nestedNamespaces, appArmorRestriction,
	}
}

// The first kernel that has all that a VPS needs: overlays of idmapped layers.
const wantMajor, wantMinor = 5, 19

// kernel checks the version only. A distribution may have added features to an
// older kernel, so the features that were tried count.
func kernel(f Facts) []Check {
	const name, what = "kernel", "everything; Linux 5.19 or newer has all that is needed"
	major, minor, ok := version(f.Kernel)
	switch {
	case !ok:
		return bad(Warning, name, what, f.Kernel+", whose version cannot be read", "")
	case major > wantMajor || major == wantMajor && minor >= wantMinor:
		return good(name, what, f.Kernel)
	case f.NamespaceWhy == "" && f.ShiftWhy == "" && f.OverlayWhy == "":
		return bad(Warning, name, what, f.Kernel+", with what is needed brought to it", "boot Linux 5.19 or newer")
	}
	return bad(Missing, name, what, f.Kernel, "boot Linux 5.19 or newer")
}

// version reads the first two numbers of uname -r.
func version(release string) (major, minor int, ok bool) {
	first, rest, _ := strings.Cut(release, ".")
	second := rest
	if i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		second = rest[:i]
	}
	major, err1 := strconv.Atoi(first)
	minor, err2 := strconv.Atoi(second)
	return major, minor, err1 == nil && err2 == nil
}

func capabilities(f Facts) []Check {
	const name, what = "capabilities", "making VPSs, and what their own root may do"
	switch {
	case len(f.LacksCaps) > 0:
		return bad(Missing, name, what, "without "+strings.Join(f.LacksCaps, ", "), "run croft as root of a machine, not of a restricted container")
	case len(f.BoundingCaps) > 0:
		return bad(Warning, name, what, "this host has no "+strings.Join(f.BoundingCaps, ", ")+": VPSs go without",
			"run croft as root of a machine, not of a restricted container")
	}
	return good(name, what, "all")
}

func userNamespaces(f Facts) []Check {
	const name, what = "user namespaces", "root inside a VPS maps to an unprivileged host user"
	remedy := "boot a kernel with CONFIG_USER_NS"
	if n, ok := f.sysctl("user.max_user_namespaces"); ok && n == 0 {
		remedy = "sysctl -w user.max_user_namespaces=63556"
	}
	return tried(Missing, name, what, f.NamespaceWhy, remedy)
}

// namespaces are those without which nothing is a VPS.
func namespaces(f Facts) []Check {
	const name, what = "namespaces", "processes, mounts, network, names and cgroups of a VPS's own"
	var gone []string
	for _, kind := range []string{"pid", "mnt", "net", "ipc", "uts", "cgroup"} {
		if !slices.Contains(f.Namespaces, kind) {
			gone = append(gone, kind)
		}
	}
	if len(gone) > 0 {
		return bad(Missing, name, what, "no "+strings.Join(gone, ", "), "boot a kernel with CONFIG_NAMESPACES, CONFIG_CGROUPS")
	}
	return good(name, what, "pid, mnt, net, ipc, uts, cgroup")
}

func timeNamespaces(f Facts) []Check {
	const name, what = "time namespaces", "an uptime of a VPS's own"
	if !slices.Contains(f.Namespaces, "time") {
		return bad(Warning, name, what, "none: VPSs show the host's uptime", "boot Linux 5.6 or newer, with CONFIG_TIME_NS")
	}
	return good(name, what, "there")
}

func shiftedLayers(f Facts) []Check {
	if f.NamespaceWhy != "" {
		return nil // could not be tried
	}
	return tried(Missing, "idmapped mounts", "VPSs that share a template's files, each with its own ids ("+f.StateDir+", "+f.Filesystem+")", f.ShiftWhy,
		"boot Linux 5.19 or newer, and keep "+f.StateDir+" on ext4, xfs, btrfs or tmpfs")
}

func overlay(f Facts) []Check {
	if f.NamespaceWhy != "" || f.ShiftWhy != "" {
		return nil
	}
	return tried(Missing, "overlay", "files of a VPS's own over its template's ("+f.StateDir+", "+f.Filesystem+")", f.OverlayWhy,
		"modprobe overlay; and keep "+f.StateDir+" on ext4, xfs, btrfs or tmpfs")
}

// runDirectory: the root of a VPS is an ordinary user of the host, and has to
// pass through the directories above the mount point of its root filesystem.
func runDirectory(f Facts) []Check {
	const name = "run directory"
	what := "the way of VPSs to their root filesystem (" + f.RunDir + ")"
	if f.Impassable != "" {
		return bad(Missing, name, what, "not everybody may pass through "+f.Impassable,
			"chmod o+x "+f.Impassable+", or give croft another place by CROFT_RUN_DIR")
	}
	return good(name, what, "passable")
}

func seccomp(f Facts) []Check {
	const name, what = "seccomp", "keeping VPSs from system calls that reach past them"
	if !f.Seccomp {
		return bad(Missing, name, what, "no filters", "boot a kernel with CONFIG_SECCOMP_FILTER")
	}
	return good(name, what, "filters")
}

// nestedNamespaces: limits of the host's users hold for users of VPSs too.
func nestedNamespaces(f Facts) []Check {
	const name, what = "user namespaces inside", "podman, bubblewrap, PrivateUsers= and the like in VPSs"
	const key = "kernel.unprivileged_userns_clone"
	if v, ok := f.sysctl(key); ok && v == 0 {
		return bad(Warning, name, what, key+" is 0", "sysctl -w "+key+"=1")
	}
	return good(name, what, "allowed")
}

func appArmorRestriction(f Facts) []Check {
	const name, what = "AppArmor", "user namespaces inside VPSs; VPSs run unconfined by it"
	const key = "kernel.apparmor_restrict_unprivileged_userns"
	if !f.AppArmor {
		return good(name, what, "off")
	}
	if v, ok := f.sysctl(key); ok && v != 0 {
		return bad(Warning, name, what, fmt.Sprintf("%s is %d: inside VPSs they have no capabilities", key, v), "sysctl -w "+key+"=0")
	}
	return good(name, what, "on, and restricts no user namespaces")
}
