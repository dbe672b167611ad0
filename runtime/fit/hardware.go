package fit

import (
	"slices"
	"strings"

	"croft/internal/initkind"
)

// console gives OpenRC's own init a getty on the console. systemd makes one in a
// container by itself; package guest does it for inits with an inittab, and for runit.
func console(p *planner) {
	const script, link = "etc/init.d/agetty", "etc/init.d/agetty.console"
	if p.Init != initkind.OpenRC || !p.has(script) || p.has(link) {
		return
	}
	p.edit(Link, link, 0, "agetty")
	p.edit(Link, "etc/runlevels/default/agetty.console", 0, "/"+link)
}

// hardwareUnits look after hardware or the kernel. In a VPS they fail, or have nothing to
// do.
var hardwareUnits = []string{
	"audit-rules.service", "auditd.service", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer", "fwupd-refresh.timer", "gpm.service",
	"nvmf-autoconnect.service", "openipmi.service", "rng-tools-debian.service", "rngd.service", "zramswap.service",
}

// units masks units of systemd that look after hardware, and ends such scripts of
// sysvinit and OpenRC at once.
func units(p *planner) {
	switch p.Init {
	case initkind.Systemd:
		for _, unit := range hardwareUnits {
			file, script := "etc/systemd/system/"+unit, "etc/init.d/"+strings.TrimSuffix(unit, ".service")
			if p.first("usr/lib/systemd/system/"+unit, "lib/systemd/system/"+unit, script) != "" && !p.has(file) {
				p.edit(Link, file, 0, "/dev/null")
			}
		}
	case initkind.SysV:
		for _, name := range hardwareScripts {
			p.endScript("etc/init.d/" + name)
		}
		if cgroups := "etc/runlevels/sysinit/cgroups"; p.has(cgroups) && !p.own(cgroups) { // croft has given the VPS its cgroup
			p.edit(Remove, cgroups, 0, "")
		}
	}
}

// hardwareScripts are those of Debian's initscripts for clocks, disks, screens, the
// kernel, and mounts that the host has made. They stay, with what they say about
// dependencies: packages that are installed later build on them.
var hardwareScripts = []string{
	"bootlogs", "brightness", "checkfs.sh", "checkroot-bootclean.sh", "checkroot.sh", "hwclock.sh", "mount-configfs", "mountall.sh", "mountdevsubfs.sh",
	mountKernel, "mountnfs-bootclean.sh", "mountnfs.sh", "umountfs", "umountnfs.sh", "umountroot",
}

// mountKernel is the first script of a boot.
const mountKernel = "mountkernfs.sh"

// endScript ends a script before its first command.
func (p *planner) endScript(file string) {
	if p.own(file) {
		return
	}
	text := "exit 0 # " + marker + ": nothing to do in a VPS\n"
	if strings.HasSuffix(file, "/"+mountKernel) { // what later scripts need
		text = "install -d -m 1777 /run/lock; install -d /run/sendsigs.omit.d; ln -sfn /dev/shm /run/shm\n" +
			"touch /run/.tmpfs /run/lock/.tmpfs # or bootclean empties them\n" + text
	}
	done := false
	p.changeLines(file, func(line string) string {
		if done || strings.TrimSpace(line) != "### END INIT INFO" {
			return line
		}
		done = true
		return strings.TrimSuffix(line, "\n") + "\n" + text
	})
}

// noDisk comes before a line of fstab that is commented out.
const noDisk = "# " + marker + ", no such disk: "

// fstab comments out lines for disks and swap that the VPS does not have.
func fstab(p *planner) {
	const file = "etc/fstab"
	if p.own(file) {
		return
	}
	p.changeLines(file, func(line string) string {
		fields := strings.Fields(line)
		if len(fields) < 3 || strings.HasPrefix(fields[0], "#") || !p.missingDisk(fields[0], fields[2]) {
			return line
		}
		return noDisk + line
	})
}

// missingDisk reports whether a line of fstab with this source and type needs a disk of
// a machine, or is for swap.
func (p *planner) missingDisk(source, kind string) bool {
	if slices.Contains(p.Devices, source) {
		return false
	}
	if kind == "swap" {
		return true
	}
	if name, ok := strings.CutPrefix(source, "/dev/"); ok {
		return !strings.HasPrefix(name, "shm") && !strings.HasPrefix(name, "fuse")
	}
	return slices.ContainsFunc([]string{"UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=", "ID="}, func(prefix string) bool { return strings.HasPrefix(source, prefix) })
}
