package bundles

import (
	"slices"

	"croft/internal/vps"
)

// capabilities are all but those whose absence makes units skip themselves by
// ConditionCapability=, instead of failing, and those that reach the host.
func capabilities(s Settings) []string {
	all := []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
		"CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
		"CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
		"CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT",
		"CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE",
		"CAP_SETFCAP", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_PERFMON", "CAP_BPF",
		"CAP_CHECKPOINT_RESTORE",
		// Docker gives it to its containers, and fails where it has not got it.
		// The kernel asks for it in the host's user namespace (audit_netlink_ok).
		"CAP_AUDIT_WRITE",
	}
	if slices.Contains(s.Allow, vps.AllowCapabilities) && s.Size != 0 {
		all = append(all, useless()...)
	}
	if s.HostCaps == nil {
		return all
	}
	return slices.DeleteFunc(all, func(c string) bool { return !slices.Contains(s.HostCaps, c) })
}

// useless are the capabilities that give nothing in a user namespace: the kernel
// asks for each in the host's (capable() and not ns_capable(), Linux 6.18). The
// exceptions are the clocks of a time namespace that the VPS makes itself
// (CAP_SYS_TIME), and the policy of an AppArmor namespace of its own
// (CAP_MAC_ADMIN), which croft makes none of. Docker before 23 fails to run a
// privileged container where one of them is missing.
func useless() []string {
	return []string{
		"CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_TIME", "CAP_AUDIT_CONTROL", "CAP_AUDIT_READ", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN",
	}
}
