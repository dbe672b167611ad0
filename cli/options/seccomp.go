package options

import (
	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/internal/vps"
)

// SeccompAbout is the help for verbs with these options.
const SeccompAbout = `--seccomp chooses the filter of system calls. default denies calls that reach past the
namespaces of the VPS. minimal denies only those that the kernel's own checks do not
hold back: io_uring, sockets of AF_ALG and AF_VSOCK, syslog. With off there is no filter:
a system call then costs what it costs on the host, and the VPS can use every call that
the kernel lets its user namespace use. A privileged VPS always has the default one.`

func seccompOption(when string) cmdline.Option {
	return cmdline.Option{Name: "seccomp", Placeholder: "default|minimal|off", Choices: []string{"default", "minimal", "off"},
		Usage: "the filter of system calls" + when + " (default: default)"}
}

func seccompEdits(edits []vps.Edit, i *command.Invocation) []vps.Edit {
	return addEdit(edits, i, "seccomp", vps.ParseSeccomp, func(s vps.Seccomp) vps.Edit { return vps.SetSeccomp{Seccomp: s} })
}
