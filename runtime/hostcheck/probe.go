package hostcheck

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"croft/runtime/hostlimits"
)

// Probe finds out the facts that are the host's own, for a croft that keeps its
// files in stateDir. What cannot be found out is as if it were not there.
func Probe(ctx context.Context, stateDir string) Facts {
	f := Facts{
		Kernel: kernelRelease(), Packager: packager(),
		Seccomp: hasWord("/proc/sys/kernel/seccomp/actions_avail", "errno"), AppArmor: isOn("/sys/module/apparmor/parameters/enabled"),
		Sysctls: sysctls(), StateDir: stateDir, Cgroups: probeCgroups(), Boot: probeBoot(ctx),
	}
	f.LacksCaps, f.BoundingCaps = lackingCapabilities(readText("/proc/self/status"))
	for _, kind := range []string{"user", "pid", "mnt", "net", "ipc", "uts", "cgroup", "time"} {
		if present("/proc/self/ns/" + kind) {
			f.Namespaces = append(f.Namespaces, kind)
		}
	}
	for _, node := range []string{"/dev/net/tun", "/dev/fuse"} {
		info, err := os.Stat(node)
		if err != nil {
			f.Devices = append(f.Devices, node)
		} else if info.Mode().Perm()&0o006 != 0o006 {
			f.Closed = append(f.Closed, node)
		}
	}
	f.probeSpace()
	return f
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

func packager() string {
	for _, name := range []string{"apt-get", "dnf", "apk", "pacman", "zypper"} {
		if _, err := exec.LookPath(name); err == nil {
			return name
		}
	}
	return ""
}

// sysctls are those that checks look at.
func sysctls() map[string]int64 {
	keys := []string{"kernel.unprivileged_userns_clone", "kernel.apparmor_restrict_unprivileged_userns"}
	for _, kind := range []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"} {
		keys = append(keys, "user.max_"+kind+"_namespaces")
	}
	for _, l := range hostlimits.Needed() {
		keys = append(keys, l.Key)
	}
	values := map[string]int64{}
	for _, key := range keys {
		text := readText("/proc/sys/" + strings.ReplaceAll(key, ".", "/"))
		if value, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil {
			values[key] = value
		}
	}
	return values
}

// lackingCapabilities reads /proc/PID/status: which capabilities the process
// lacks that making a VPS takes, and which others its VPSs cannot have.
func lackingCapabilities(status string) (lacks, bounding []string) {
	effective, bound := statusMask(status, "CapEff:"), statusMask(status, "CapBnd:")
	needed := []int{
		unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_KILL, unix.CAP_SETGID, unix.CAP_SETUID, unix.CAP_SETPCAP,
		unix.CAP_NET_ADMIN, unix.CAP_SYS_CHROOT, unix.CAP_SYS_PTRACE, unix.CAP_SYS_ADMIN, unix.CAP_SETFCAP,
	}
	for c, name := range capabilityNames() {
		switch {
		case slices.Contains(needed, c) && effective&(1<<c) == 0:
			lacks = append(lacks, name)
		case c <= lastCapability() && !slices.Contains(needed, c) && bound&(1<<c) == 0:
			bounding = append(bounding, name)
		}
	}
	return lacks, bounding
}

func lastCapability() int {
	n, err := strconv.Atoi(strings.TrimSpace(readText("/proc/sys/kernel/cap_last_cap")))
	if err != nil {
		return unix.CAP_LAST_CAP
	}
	return n
}

func statusMask(status, field string) uint64 {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			mask, _ := strconv.ParseUint(strings.TrimSpace(rest), 16, 64)
			return mask
		}
	}
	return 0
}

// capabilityNames are the capabilities by number (linux/capability.h).
func capabilityNames() []string {
	return strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
		NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE
		SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL
		SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`)
}

// probeSpace reads the type and the free space of the filesystem of the state
// directory.
func (f *Facts) probeSpace() {
	var st unix.Statfs_t
	if err := unix.Statfs(f.StateDir, &st); err != nil {
		return
	}
	f.FreeBytes, f.FreeInodes = st.Bavail*uint64(st.Bsize), st.Ffree
	if st.Files == 0 { // btrfs makes inodes as they are needed
		f.FreeInodes = ^uint64(0)
	}
	f.Filesystem = filesystemName(st.Type)
	if mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(f.StateDir)); err == nil && len(mounts) > 0 {
		last := slices.MaxFunc(mounts, func(a, b *mountinfo.Info) int { return cmp.Compare(len(a.Mountpoint), len(b.Mountpoint)) })
		f.Device, f.MountPoint = last.Source, last.Mountpoint
	}
}

func filesystemName(magic int64) string {
	name, ok := map[int64]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs",
		unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.NFS_SUPER_MAGIC: "nfs", unix.FUSE_SUPER_MAGIC: "fuse", unix.F2FS_SUPER_MAGIC: "f2fs",
		0x2fc12fc1: "zfs", 0xca451a4e: "bcachefs",
	}[magic]
	if !ok {
		return fmt.Sprintf("filesystem %#x", magic)
	}
	return name
}

// probeCgroups reads which cgroup hierarchies are mounted.
func probeCgroups() Cgroups {
	c := cgroupsOf(readText("/proc/self/mountinfo"), func(dir string) string { return readText(filepath.Join(dir, "cgroup.controllers")) })
	c.Reachable = present("/run/systemd/private") || present("/run/dbus/system_bus_socket")
	return c
}

// cgroupsOf reads mountinfo (proc_pid_mountinfo(5)): the filesystem's type is
// the first word after "-", its options the third.
func cgroupsOf(mountinfo string, controllers func(dir string) string) Cgroups {
	var c Cgroups
	v1, v2 := false, false
	for line := range strings.Lines(mountinfo) {
		before, after, _ := strings.Cut(line, " - ")
		at, fs := strings.Fields(before), strings.Fields(after)
		if len(at) < 5 || len(fs) < 3 || !strings.HasPrefix(at[4], "/sys/fs/cgroup") {
			continue
		}
		switch fs[0] {
		case "cgroup2":
			v2 = true
			c.Controllers = append(c.Controllers, strings.Fields(controllers(at[4]))...)
		case "cgroup":
			v1 = true
			c.Controllers = append(c.Controllers, strings.Split(fs[2], ",")...)
		}
	}
	for i, name := range c.Controllers {
		if name == "blkio" { // what version 2 calls io
			c.Controllers[i] = "io"
		}
	}
	switch {
	case v1 && v2:
		c.World = "hybrid"
	case v1:
		c.World = "v1"
	case v2:
		c.World = "v2"
	}
	return c
}

// probeBoot finds out whether the host's init starts croft.
func probeBoot(ctx context.Context) Boot {
	script := present("/etc/init.d/croft")
	switch {
	case present("/run/systemd/system"):
		out, err := exec.CommandContext(ctx, "systemctl", "show", "--property=LoadState,UnitFileState,ActiveState", "croft.service").Output()
		if err != nil {
			return Boot{System: "systemd"}
		}
		text := string(out)
		return Boot{
			System: "systemd", Installed: strings.Contains(text, "LoadState=loaded"),
			Enabled: strings.Contains(text, "UnitFileState=enabled"), Active: strings.Contains(text, "ActiveState=active"),
		}
	case present("/run/openrc"):
		links, _ := filepath.Glob("/etc/runlevels/*/croft")
		return Boot{System: "openrc", Installed: script, Enabled: len(links) > 0}
	case present("/etc/inittab") && present("/etc/init.d"):
		links, _ := filepath.Glob("/etc/rc[2-5].d/S*croft")
		return Boot{System: "sysv", Installed: script, Enabled: len(links) > 0}
	}
	return Boot{}
}

func present(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func readText(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}

func hasWord(path, word string) bool { return slices.Contains(strings.Fields(readText(path)), word) }

func isOn(path string) bool { return strings.TrimSpace(readText(path)) == "Y" }
