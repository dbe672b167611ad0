package foreign

import (
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
)

// lxcSettings are settings that several lines of lxc.container.conf(5) make up.
type lxcSettings struct {
	nics          map[string]*NIC // by their number, or the number of the line that begins one
	last          string          // the interface that old keys are about
	quota, period int64
	memory, both  int64 // limit of memory, and of memory and swap together
	keep          []string
	mapped        bool // there is a line about ids
}

// parseLXC reads lxc.container.conf(5) of LXC 1 to 6.
func (s *System) parseLXC(text string) error {
	keys := 0
	for line := range lines(text, "#") {
		key, value, ok := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		if !ok || !strings.HasPrefix(key, "lxc.") {
			return fail.New(fail.Usage, "it is not a configuration of LXC: %q is not lxc.KEY = VALUE", clean(line))
		}
		keys++
		s.lxcKey(key, strings.TrimSpace(value))
	}
	if keys == 0 {
		return fail.New(fail.Usage, "it is not a configuration of LXC: it has no settings")
	}
	s.finishLXC()
	return nil
}

// lxcKey reads one setting. Proxmox has such lines, too.
func (s *System) lxcKey(key, value string) {
	if s.lxcGroup(key, value) {
		return
	}
	switch key {
	case "lxc.uts.name", "lxc.utsname":
		s.hostname(key, value)
		if s.Name == "" {
			s.Name = value
		}
	case "lxc.arch":
		s.Architecture = value
	case "lxc.rootfs.path", "lxc.rootfs":
		s.lxcRootfs(value)
	case "lxc.rootfs.mount", "lxc.rootfs.options", "lxc.rootfs.backend", "lxc.rootfs.managed", "lxc.devttydir", "lxc.autodev", "lxc.kmsg", "lxc.mount.auto":
	case "lxc.idmap", "lxc.id_map":
		s.lxcIDMap(key, value)
	case "lxc.mount.entry":
		s.lxcMount(key, value)
	case "lxc.mount", "lxc.mount.fstab":
		s.left(key, value, "croft does not read this file; --mount adds a mount")
	case "lxc.cap.drop":
		for name := range strings.FieldsSeq(value) {
			if !s.hasNot(name) {
				s.capability(key, name, false)
			}
		}
	case "lxc.cap.keep":
		s.lxc.keep = append(s.lxc.keep, strings.Fields(value)...)
	case "lxc.environment":
		if strings.Contains(value, "=") {
			s.env(key, value)
		} else {
			s.left(key, value, "croft does not give the environment of a command to a VPS")
		}
	case "lxc.start.auto":
		s.onBoot(truth(value))
	case "lxc.start.order":
		if n, ok := integer(value); ok && n >= 0 && n < 1<<31 {
			s.take(key, value, vps.SetBootOrder{Order: int(n)})
		} else {
			s.left(key, value, unread)
		}
	case "lxc.group":
		for name := range strings.FieldsSeq(value) {
			s.take(key, name, vps.SetLabel{Key: name})
		}
	case "lxc.init.cmd", "lxc.init_cmd":
		s.Program.Command = strings.Fields(value)
	case "lxc.init.cwd":
		s.Program.Dir = value
	case "lxc.init.uid":
		s.Program.User = value
	case "lxc.include":
		if !strings.HasPrefix(value, "/usr/share/lxc/config/") {
			s.left(key, value, "croft does not read included files")
		}
	case "lxc.start.delay":
		s.left(key, value, missing)
	default:
		s.left(key, value, unknown)
	}
}

// lxcGroup reads a setting of a group. It reports whether it is one.
func (s *System) lxcGroup(key, value string) bool {
	is := func(prefixes ...string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
	}
	switch {
	case is("lxc.net.", "lxc.network"):
		s.lxcNet(key, value)
	case is("lxc.cgroup.devices.", "lxc.cgroup2.devices."):
		s.lxcDeviceRule(key, value)
	case is("lxc.cgroup.", "lxc.cgroup2."):
		_, name, _ := strings.Cut(strings.TrimPrefix(key, "lxc."), ".")
		s.lxcCgroup(key, name, value)
	case is("lxc.sysctl."):
		s.sysctl(key, strings.TrimPrefix(key, "lxc.sysctl."), value)
	case is("lxc.hook"):
		s.left(key, value, otherTool)
	case is("lxc.apparmor.", "lxc.aa_", "lxc.seccomp", "lxc.selinux.", "lxc.log.", "lxc.console", "lxc.tty", "lxc.pty", "lxc.monitor."):
		// croft has its own for every VPS
	default:
		return false
	}
	return true
}

// hasNot reports whether no VPS has the capability anyway.
func (s *System) hasNot(name string) bool {
	known, err := vps.ParseCapability(name)
	return err == nil && slices.Contains([]string{"MAC_ADMIN", "MAC_OVERRIDE", "SYS_TIME", "SYS_MODULE", "SYS_RAWIO"}, known)
}

// lxcRootfs reads a path, with or without the kind of storage before it.
func (s *System) lxcRootfs(value string) {
	kind, dir, ok := strings.Cut(value, ":")
	if !ok {
		kind, dir = "dir", value
	}
	if kind == "dir" && path.IsAbs(dir) && !strings.HasPrefix(dir, "/dev/") || kind == "btrfs" {
		s.Rootfs = dir
		return
	}
	s.NoRootfs = "the root filesystem is on " + clean(kind) + " storage: mount it and give --rootfs DIR"
}

// lxcIDMap reads "u 0 100000 65536". The range that begins with id 0 says how far the files
// are shifted. Other ranges with the same shift, after a single id of the host for
// example, make it longer.
func (s *System) lxcIDMap(key, value string) {
	f := strings.Fields(value)
	if len(f) != 4 {
		s.left(key, value, unread)
		return
	}
	inside, ok1 := id(f[1])
	first, ok2 := id(f[2])
	n, ok3 := id(f[3])
	if !ok1 || !ok2 || !ok3 || uint64(inside)+uint64(n) > 1<<32-1 || uint64(first)+uint64(n) > 1<<32-1 {
		s.left(key, value, unread)
		return
	}
	if !s.lxc.mapped { // Proxmox has a default
		s.IDs = vps.IDRange{}
	}
	s.lxc.mapped = true
	switch {
	case s.IDs.Size == 0 && inside == 0:
		s.IDs = vps.IDRange{First: first, Size: n}
	case s.IDs.Size != 0 && first >= inside && first-inside == s.IDs.First:
		s.IDs.Size = max(s.IDs.Size, inside+n)
	default:
		s.left(key, value, "these ids are shifted differently; other ids become 65534")
	}
}

// lxcNet reads lxc.net.0.link, and lxc.network.link of older versions, where
// lxc.network.type begins the next interface.
func (s *System) lxcNet(key, value string) {
	if s.lxc.nics == nil {
		s.lxc.nics = map[string]*NIC{}
	}
	name := ""
	if rest, ok := strings.CutPrefix(key, "lxc.net."); ok {
		s.lxc.last, name, _ = strings.Cut(rest, ".")
	} else {
		name = strings.TrimPrefix(strings.TrimPrefix(key, "lxc.network"), ".")
		if name == "type" {
			s.lxc.last = string(rune('a' + len(s.lxc.nics)))
		}
	}
	if name == "type" && value == "none" {
		s.HostNetwork = true
	}
	if name == "type" && (value == "empty" || value == "none") || name == "" {
		return
	}
	n := s.lxc.nics[s.lxc.last]
	if n == nil {
		n = &NIC{Key: strings.TrimSuffix(key, "."+name)}
		s.lxc.nics[s.lxc.last] = n
	}
	switch name {
	case "type":
		if value != "veth" {
			s.left(key, value, "the interface is on a network of croft instead: croft help network create")
		}
	case "link":
		n.Bridge = value
	case "name":
		n.Name = value
	case "hwaddr":
		if !strings.ContainsAny(value, "xX") { // a pattern
			s.setMAC(n, key, value)
		}
	case "ipv4", "ipv4.address", "ipv6", "ipv6.address":
		text, _, _ := strings.Cut(value, " ") // the broadcast address
		s.addAddress(n, key, text)
	case "flags", "ipv4.gateway", "ipv6.gateway", "veth.pair", "veth.mode", "script.up", "script.down": // of the network
		if strings.HasPrefix(name, "script") {
			s.left(key, value, otherTool)
		}
	default:
		s.left(key, value, "it belongs to a network of croft: croft help network create")
	}
}

// lxcMount reads a line of fstab(5), whose target is relative to the root filesystem.
func (s *System) lxcMount(key, value string) {
	f := strings.Fields(value)
	if len(f) < 2 {
		s.left(key, value, unread)
		return
	}
	var with []string
	if len(f) > 3 {
		with = strings.Split(f[3], ",")
	}
	target := strings.TrimPrefix(f[1], s.Rootfs)
	if s.Rootfs == "" || target == f[1] && path.IsAbs(target) {
		if _, after, ok := strings.Cut(target, "/rootfs/"); ok {
			target = after
		}
	}
	target = path.Clean("/" + target)
	source := strings.ReplaceAll(f[0], `\040`, " ")
	target = strings.ReplaceAll(target, `\040`, " ")
	switch {
	case strings.HasPrefix(target, "/proc/") || strings.HasPrefix(target, "/sys/") || target == "/proc" || target == "/sys" || target == "/dev/shm" || target == "/dev/mqueue":
		return // every VPS has its own
	case len(f) > 2 && f[2] == "tmpfs":
		m := vps.Mount{Kind: vps.MountTmpfs, Target: target, ReadOnly: slices.Contains(with, "ro"), NoExec: slices.Contains(with, "noexec")}
		for _, o := range with {
			if text, ok := strings.CutPrefix(o, "size="); ok {
				m.Size, _ = size(text, 1024)
			}
			if text, ok := strings.CutPrefix(o, "mode="); ok {
				m.Mode = text
			}
		}
		s.mount(key, value, m)
	case strings.HasPrefix(source, "/dev/") && strings.HasPrefix(target, "/dev/"):
		d := vps.Device{Source: source, Optional: slices.Contains(with, "optional")}
		if target != source {
			d.Path = target
		}
		s.device(key, value, d)
	case !slices.Contains(with, "bind") && !slices.Contains(with, "rbind"):
		s.left(key, value, "a VPS cannot mount file systems of devices or of the network")
	default:
		s.mount(key, value, vps.Mount{Source: path.Clean(source), Target: target, ReadOnly: slices.Contains(with, "ro"), NoExec: slices.Contains(with, "noexec")})
	}
}

// lxcDeviceRule reads rules for devices. Their nodes come with lxc.mount.entry or lxc.hook,
// and every VPS has those with the common numbers.
func (s *System) lxcDeviceRule(key, value string) {
	f := strings.Fields(value)
	if strings.HasSuffix(key, ".deny") || len(f) == 0 || f[0] == "a" {
		return
	}
	if len(f) > 1 {
		major, minor, _ := strings.Cut(f[1], ":")
		switch {
		case major == "*", major == "1", major == "5", major == "136", major == "10" && (minor == "200" || minor == "229"), f[len(f)-1] == "m":
			return
		}
	}
	s.left(key, value, "the numbers of a device do not say which one it is; --device adds one")
}

// lxcCgroup reads limits of cgroups of both versions.
func (s *System) lxcCgroup(key, name, value string) {
	bytes := func(set func(*vps.Limits, int64)) {
		n, ok := size(value, 1024)
		s.limit(key, value, n, ok, set)
	}
	number := func(set func(*vps.Limits, int64)) {
		n, ok := integer(value)
		s.limit(key, value, n, ok, set)
	}
	if value == "max" || value == "-1" {
		return // no limit
	}
	switch name {
	case "memory.limit_in_bytes", "memory.max":
		s.lxc.memory, _ = size(value, 1024)
		bytes(setMemory)
	case "memory.memsw.limit_in_bytes":
		n, ok := size(value, 1024)
		if s.lxc.both = n; !ok {
			s.left(key, value, unread)
		}
	case "memory.swap.max":
		n, ok := size(value, 1024)
		s.limit(key, value, orNoSwap(n), ok, setSwap)
	case "memory.low", "memory.min", "memory.soft_limit_in_bytes":
		bytes(setLow)
	case "cpuset.cpus":
		s.take(key, value, setting(func(v *vps.VPS) { v.Limits.CPUSet = value }))
	case "cpu.shares":
		n, ok := integer(value)
		s.limit(key, value, weight(n, 1024), ok, setWeight)
	case "cpu.weight":
		number(setWeight)
	case "cpu.cfs_quota_us":
		s.lxc.quota, _ = integer(value)
	case "cpu.cfs_period_us":
		s.lxc.period, _ = integer(value)
	case "cpu.max":
		quota, period, _ := strings.Cut(value, " ")
		s.lxc.quota, _ = integer(quota) // "max" is 0
		s.lxc.period, _ = integer(period)
	case "pids.max":
		number(setPIDs)
	case "blkio.weight":
		n, ok := integer(value)
		s.limit(key, value, weight(n, 500), ok, setIO)
	case "io.weight":
		n, ok := integer(strings.TrimPrefix(value, "default "))
		s.limit(key, value, n, ok, setIO)
	case "io.max", "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device", "blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device":
		s.left(key, value, "the numbers of a device do not say which one it is; --io-read and --io-write limit the disk")
	default:
		s.left(key, value, missing)
	}
}

// finishLXC takes the settings that several lines make up.
func (s *System) finishLXC() {
	for _, number := range slices.SortedFunc(maps.Keys(s.lxc.nics), byNumber) {
		s.NICs = append(s.NICs, *s.lxc.nics[number])
	}
	if s.lxc.quota > 0 {
		period := s.lxc.period
		if period <= 0 {
			period = int64(100 * time.Millisecond / time.Microsecond) // the kernel's
		}
		n := int64(float64(s.lxc.quota) / float64(period) * 1000)
		s.limit("cpu quota", "", n, true, setCPUs)
	}
	if s.lxc.both > 0 && s.lxc.memory > 0 && s.lxc.both >= s.lxc.memory {
		s.limit("memory.memsw.limit_in_bytes", "", orNoSwap(s.lxc.both-s.lxc.memory), true, setSwap)
	}
	if len(s.lxc.keep) > 0 {
		for _, name := range vps.Capabilities() {
			if !slices.ContainsFunc(s.lxc.keep, func(k string) bool { return strings.EqualFold(strings.TrimPrefix(strings.ToUpper(k), "CAP_"), name) }) && !s.hasNot(name) {
				s.capability("lxc.cap.keep", name, false)
			}
		}
	}
	s.lxc = lxcSettings{}
}

// byNumber orders the numbers of interfaces.
func byNumber(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}
