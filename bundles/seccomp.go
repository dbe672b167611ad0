package bundles

import (
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// seccomp is the system-call filter of a VPS: everything is allowed but what
// reaches past its namespaces. Refused calls answer ENOSYS and never EPERM,
// since programs probe for a call and take ENOSYS for "use the older way".
// keyctl, bpf, the mount API, clone3 and userfaultfd stay with the kernel's
// own checks.
func seccomp(arch string) *specs.LinuxSeccomp {
	enosys, noFamily := uint(unix.ENOSYS), uint(unix.EAFNOSUPPORT)
	const netlinkAudit = 9 // NETLINK_AUDIT, linux/netlink.h
	equal := func(arg uint, value uint64) specs.LinuxSeccompArg {
		return specs.LinuxSeccompArg{Index: arg, Value: value, Op: specs.OpEqualTo}
	}
	return &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Architectures: architectures(arch),
		Syscalls: []specs.LinuxSyscall{
			{Action: specs.ActErrno, ErrnoRet: &enosys, Names: []string{
				"kexec_load", "kexec_file_load",
				"init_module", "finit_module", "delete_module", "create_module", "query_module", "get_kernel_syms",
				// Walks out of a mount namespace by handle: the "shocker" of 2014.
				"open_by_handle_at",
				"lookup_dcookie", "nfsservctl", "uselib", "ustat", "sysfs", "_sysctl",
				"swapon", "swapoff", "acct", "ioperm", "iopl",
			}},
			// The kernel's crypto sockets have been a way out of containers more
			// than once, and audit is the host's.
			{Action: specs.ActErrno, ErrnoRet: &noFamily, Names: []string{"socket"},
				Args: []specs.LinuxSeccompArg{equal(0, unix.AF_ALG)}},
			{Action: specs.ActErrno, ErrnoRet: &noFamily, Names: []string{"socket"},
				Args: []specs.LinuxSeccompArg{equal(0, unix.AF_NETLINK), equal(2, netlinkAudit)}},
		},
	}
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
