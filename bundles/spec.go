package bundles

import (
	"maps"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/internal/vps"
)

// NotifySocket is where init inside says that it has booted (sd_notify(3)).
const NotifySocket = "/run/host/notify"

// CredentialsPath is where the credentials of a VPS are. systemd takes them from there
// ($CREDENTIALS_DIRECTORY, systemd's CONTAINER_INTERFACE).
const CredentialsPath = "/run/host/credentials"

// InitPath is the path of croft's own init in a VPS whose image has none.
const InitPath = "/run/host/croft-init"

// ShadowProc and ShadowSys are a second procfs and a second sysfs, writable and
// with nothing mounted over them. The kernel lets a nested container mount its
// own /proc or /sys only if such a one is visible (fs/namespace.c,
// mnt_already_visible). /proc has the VPS's boot_id mounted over it, and /sys
// is read-only. Root inside does not own the host's objects there, so it can
// only read them. A privileged VPS has neither: it may mount them itself.
const (
	ShadowProc = "/dev/.croft/proc"
	ShadowSys  = "/dev/.croft/sys"
)

// Spec returns the runtime specification of a VPS. It reads nothing from the
// machine.
func Spec(s Settings) (*specs.Spec, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	spec := &specs.Spec{
		Version:  specs.Version,
		Hostname: s.Hostname,
		Root:     &specs.Root{Path: RootfsDir},
		Process:  process(s),
		Mounts:   mounts(s),
		Linux: &specs.Linux{
			Namespaces:  namespaces(s),
			CgroupsPath: s.CgroupsPath,
			Resources:   resources(s),
			Devices:     devices(s),
			Sysctl:      sysctls(s.Sysctls),
			Seccomp:     seccomp(s.Seccomp, s.Arch, s.Allow),
			// systemd in a container does not share / itself, and mounts made for
			// its services (credentials, for one) would not be seen by them.
			// The mounts are copies in a namespace of the VPS's own: nothing
			// reaches the host.
			RootfsPropagation: "rshared",
		},
		Annotations: annotations(s),
	}
	if s.Size != 0 {
		ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: s.First, Size: s.Size}}
		spec.Linux.UIDMappings, spec.Linux.GIDMappings = ids, ids
	}
	if s.Size == 0 {
		spec.Linux.MaskedPaths, spec.Linux.ReadonlyPaths = hidden()
	}
	if s.HostUptime > 0 {
		// Both clocks start from zero: /proc/uptime reads boottime.
		back := specs.LinuxTimeOffset{Secs: -int64(s.HostUptime.Seconds())}
		spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": back, "monotonic": back}
	}
	return spec, nil
}

// ForOthers makes spec one that runtimes older than croft's take, too.
func ForOthers(spec *specs.Spec) {
	// crun before 1.9 refuses any later version. Runtimes that do not know the
	// newer settings in it may ignore them.
	spec.Version = "1.0.2"
	// Other runtimes mount procfs on /proc only. They mount nothing of croft's
	// over it.
	spec.Mounts = slices.DeleteFunc(spec.Mounts, func(m specs.Mount) bool {
		return m.Destination == ShadowProc || m.Destination == ShadowSys
	})
	// -1 means no limit. Other runtimes write it into pids.max as it is, so it
	// is removed.
	if p := spec.Linux.Resources.Pids; p != nil && p.Limit != nil && *p.Limit < 0 {
		spec.Linux.Resources.Pids = nil
	}
}

// sysctls are those that a runtime sets. croft sets those of the user namespace.
func sysctls(all map[string]string) map[string]string {
	if all == nil {
		return nil
	}
	kept := maps.Clone(all)
	maps.DeleteFunc(kept, func(key, _ string) bool { return vps.OfUserNamespace(key) })
	return kept
}

// annotations say whose bundle this is. Those that begin with
// org.systemd.property are for runtimes that have systemd make the cgroup
// (runc's docs/systemd.md); others ignore them.
func annotations(s Settings) map[string]string {
	return map[string]string{
		"croft.name": s.Name, "croft.uuid": s.UUID,
		"org.systemd.property.Description": "'VPS " + s.Name + "'",
		// A scope that failed is not kept: its name is needed for the next start.
		"org.systemd.property.CollectMode": "'inactive-or-failed'",
	}
}

func process(s Settings) *specs.Process {
	container := s.ContainerEnv
	if container == "" {
		container = "croft"
	}
	env := []string{"container=" + container, "container_uuid=" + s.UUID}
	if !slices.ContainsFunc(s.Env, func(e string) bool { return strings.HasPrefix(e, "PATH=") }) {
		// For what runtimes are asked to execute by its name beside init.
		env = append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	if s.NotifyFile != "" {
		env = append(env, "NOTIFY_SOCKET="+NotifySocket)
	}
	if s.CredentialsDir != "" {
		env = append(env, "CREDENTIALS_DIRECTORY="+CredentialsPath)
	}
	caps := Capabilities(s)
	return &specs.Process{
		Terminal: true,
		Args:     s.Init,
		Env:      append(env, s.Env...),
		Cwd:      "/",
		User:     specs.User{Umask: ref[uint32](0o022)},
		Capabilities: &specs.LinuxCapabilities{
			Bounding: caps, Effective: caps, Permitted: caps,
		},
		Rlimits:     rlimits(s),
		OOMScoreAdj: ref(s.OOMScoreAdj),
	}
}

// hidden returns the files below /proc that a privileged VPS does not get. Its
// root could write them, because it is root of the host. Files of the VPS's own
// namespaces, such as /proc/sys/net, stay.
func hidden() (masked, readonly []string) {
	return []string{"/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/sched_debug", "/proc/acpi", "/proc/scsi"},
		[]string{"/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger",
			"/proc/sys/abi", "/proc/sys/debug", "/proc/sys/dev", "/proc/sys/fs", "/proc/sys/kernel", "/proc/sys/vm"}
}

func namespaces(s Settings) []specs.LinuxNamespace {
	types := []specs.LinuxNamespaceType{
		specs.MountNamespace, specs.PIDNamespace, specs.NetworkNamespace,
		specs.IPCNamespace, specs.UTSNamespace, specs.CgroupNamespace,
	}
	if s.Size != 0 {
		types = append(types, specs.UserNamespace)
	}
	if s.HostUptime > 0 {
		types = append(types, specs.TimeNamespace)
	}
	var all []specs.LinuxNamespace
	for _, t := range types {
		all = append(all, specs.LinuxNamespace{Type: t})
	}
	return all
}

func mounts(s Settings) []specs.Mount {
	all := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k", "nr_inodes=65536"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts",
			Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5", "max=1024"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: append([]string{"nosuid", "nodev", "mode=1777"}, s.tmpfs(2, 8)...)},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		// exec allowed: packages' scripts and systemd's own generators run from /run.
		{Destination: "/run", Type: "tmpfs", Source: "tmpfs", Options: append([]string{"nosuid", "nodev", "mode=755"}, s.tmpfs(8, 16)...)},
	}
	if s.Size != 0 {
		all = append(all,
			specs.Mount{Destination: ShadowProc, Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			specs.Mount{Destination: ShadowSys, Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev"}})
	}
	// After ShadowSys: both have one superblock, which the first mount makes
	// read-only or not.
	all = append(all, sys()...)
	if s.NotifyFile != "" {
		all = append(all, specs.Mount{Destination: NotifySocket, Type: "bind", Source: s.NotifyFile,
			Options: []string{"bind", "nosuid", "noexec", "nodev"}})
	}
	if s.CredentialsDir != "" {
		all = append(all, specs.Mount{Destination: CredentialsPath, Type: "bind", Source: s.CredentialsDir,
			Options: []string{"bind", "ro", "nosuid", "noexec", "nodev"}})
	}
	if s.InitFile != "" {
		all = append(all, specs.Mount{Destination: InitPath, Type: "bind", Source: s.InitFile,
			Options: []string{"bind", "ro", "nosuid", "nodev"}})
	}
	return append(all, deviceMounts(s)...)
}

// sys returns the mounts below /sys.
func sys() []specs.Mount {
	return []specs.Mount{
		// A read-only /sys is how a guest learns that it must not run udev
		// (systemd's CONTAINER_INTERFACE).
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		// Not type "cgroup": the guest gets a pure cgroup2 tree on hybrid hosts
		// too, and systemd 258 and later know nothing else.
		{Destination: "/sys/fs/cgroup", Type: "cgroup2", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev"}},
	}
}

func ref[T any](v T) *T { return &v }
