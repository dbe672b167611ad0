package bundles

import (
	"os"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"croft/internal/vps"
)

// seccomp returns the system-call filter of a VPS; nil without one. The default one allows
// everything except calls that reach past the namespaces. Denied calls, except syslog, return
// ENOSYS and never EPERM, because programs probe for a call and take ENOSYS for "use the older
// way". keyctl, bpf, the mount API, clone3 and userfaultfd are left to the
// kernel's own checks. docs/software.md lists the denied calls with reasons.
func seccomp(filter vps.Seccomp, arch string, allow []string) *specs.LinuxSeccomp {
	if filter == vps.SeccompOff {
		return nil
	}
	var denied []string
	if filter != vps.SeccompMinimal {
		denied = hostCalls()
	}
	if !slices.Contains(allow, vps.AllowIOURing) {
		// Its requests pass by every filter: IORING_OP_SOCKET opens what socket(2) is denied.
		denied = append(denied, "io_uring_setup", "io_uring_enter", "io_uring_register")
	}
	calls := []specs.LinuxSyscall{
		denySyslog(),
		// The kernel's crypto sockets have been a way out of containers more
		// than once.
		denySocket(unix.AF_ALG),
	}
	if len(denied) > 0 {
		calls = slices.Insert(calls, 0, specs.LinuxSyscall{Action: specs.ActErrno, ErrnoRet: new(uint(unix.ENOSYS)), Names: denied})
	}
	if filter != vps.SeccompMinimal { // audit is the host's
		calls = append(calls, denySocket(unix.AF_NETLINK, lowBits(2, 0xffffffff, unix.NETLINK_AUDIT)))
	}
	if !slices.Contains(allow, vps.AllowVsock) {
		// One port space for the host and all VPSs, and on a virtual machine a
		// channel to the hypervisor, which no packet filter sees.
		calls = append(calls, denySocket(unix.AF_VSOCK))
	}
	return &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Architectures: architectures(arch),
		Syscalls:      calls,
	}
}

// hostCalls are calls that belong to the host, which the kernel's own checks keep from the root
// of a user namespace too, and calls that are long obsolete.
func hostCalls() []string {
	return []string{
		"kexec_load", "kexec_file_load",
		"init_module", "finit_module", "delete_module", "create_module", "query_module", "get_kernel_syms",
		// Walks out of a mount namespace by handle: the "shocker" of 2014.
		"open_by_handle_at",
		"lookup_dcookie", "nfsservctl", "uselib", "ustat", "sysfs", "_sysctl",
		"swapon", "swapoff", "acct", "ioperm", "iopl",
	}
}

// denySyslog denies syslog(2), with which a VPS could read the messages of the host's kernel
// where kernel.dmesg_restrict is 0. The error is what the kernel says where it is 1.
func denySyslog() specs.LinuxSyscall {
	notPermitted := uint(unix.EPERM)
	return specs.LinuxSyscall{Action: specs.ActErrno, ErrnoRet: &notPermitted, Names: []string{"syslog"}}
}

// denySocket denies socket(2) for a family. The kernel uses the low 32 bits of
// each argument, so those are compared and the rest is not.
//
// libseccomp applies a rule for socket to socketcall(2) of 32-bit programs too:
// it replaces the condition on argument 0 by "is SYS_SOCKET" and keeps the
// others (arch-x86.c, x86_rule_add, 2.3 to 2.6). Without another condition all
// sockets of such programs would be denied. So argument 1 is compared as well.
// In socket(2) it is the type: bits outside of 0xf, SOCK_NONBLOCK and
// SOCK_CLOEXEC are EINVAL there (net/socket.c), so nothing passes by them. In
// socketcall(2) it is an address, which always has such bits: socketcall is
// allowed. What it opens is in memory, which a filter cannot read.
func denySocket(family uint64, more ...specs.LinuxSeccompArg) specs.LinuxSyscall {
	noFamily := uint(unix.EAFNOSUPPORT)
	const typeBits = 0xf | unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	args := []specs.LinuxSeccompArg{lowBits(0, 0xffffffff, family), lowBits(1, 0xffffffff&^typeBits, 0)}
	return specs.LinuxSyscall{Action: specs.ActErrno, ErrnoRet: &noFamily, Names: []string{"socket"}, Args: append(args, more...)}
}

// lowBits is the condition that the bits of mask in an argument are value.
func lowBits(arg uint, mask, value uint64) specs.LinuxSeccompArg {
	return specs.LinuxSeccompArg{Index: arg, Value: mask, ValueTwo: value, Op: specs.OpMaskedEqual}
}

func architectures(arch string) []specs.Arch {
	switch arch {
	case "amd64":
		return []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32}
	case "arm64":
		return []specs.Arch{specs.ArchAARCH64, specs.ArchARM}
	}
	return nil // libseccomp's own: the native one
}

func mode(perm uint32) *os.FileMode {
	m := os.FileMode(perm)
	return &m
}
