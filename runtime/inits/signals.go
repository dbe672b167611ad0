// Package inits knows how each kind of init is asked to power off or to reboot,
// and how to tell from outside that one has booted.
package inits

import (
	"slices"
	"strconv"
	"strings"
	"syscall"

	"croft/internal/initkind"
	"croft/internal/signame"
)

// An Intent is what an init is asked to do. Its text is also the command that
// asks for it inside.
type Intent string

// The intents.
const (
	PowerOff Intent = "poweroff"
	Reboot   Intent = "reboot"
)

// NoSignal is the result of SignalFor for an init that no signal can ask.
const NoSignal = syscall.Signal(0)

// Real-time signals as systemd counts them (systemd(1), SIGNALS). SIGRTMIN of
// the C library is 34.
const (
	sigRTMin    = signame.RTMin
	sigPowerOff = sigRTMin + 4
	sigReboot   = sigRTMin + 5
)

// SignalFor returns the signal that asks an init of kind k for want. It is
// NoSignal if the command of that name must be run inside instead. A sysvinit
// powers off at SIGPWR only if its inittab has an entry for that.
func SignalFor(k initkind.Kind, want Intent, inittab string) syscall.Signal {
	switch {
	case k == initkind.Croft:
		return syscall.SIGPWR
	case k == initkind.Systemd && want == PowerOff:
		return sigPowerOff
	case k == initkind.Systemd:
		return sigReboot
	case k == initkind.Busybox && want == PowerOff:
		return syscall.SIGUSR2
	case k == initkind.Busybox:
		return syscall.SIGTERM
	case k == initkind.SysV && want == PowerOff && hasPowerWait(inittab):
		return syscall.SIGPWR
	case k == initkind.SysV && want == Reboot, k == initkind.Upstart && want == Reboot:
		return syscall.SIGINT // ctrlaltdel
	case k == initkind.Upstart:
		return syscall.SIGPWR
	}
	return NoSignal
}

// hasPowerWait reports whether an inittab(5) has an entry for a failure of the
// power supply.
func hasPowerWait(inittab string) bool {
	for line := range strings.Lines(inittab) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 4)
		if len(fields) == 4 && !strings.HasPrefix(fields[0], "#") && (fields[2] == "powerwait" || fields[2] == "powerfail") {
			return true
		}
	}
	return false
}

// Masks are the signal masks of a process, from /proc/PID/status.
type Masks struct {
	Blocked, Caught uint64
}

// ParseMasks reads the masks from the text of /proc/PID/status. A missing or
// invalid mask is 0.
func ParseMasks(status string) Masks {
	var m Masks
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil {
			continue
		}
		switch key {
		case "SigBlk":
			m.Blocked = mask
		case "SigCgt":
			m.Caught = mask
		}
	}
	return m
}

// Ready reports whether an init of kind k with these masks would do what sig
// asks for. A busybox init waits in sigtimedwait(2), and while it waits the
// signals are in neither mask. But it waits only after it has set its handler
// for SIGTSTP.
func (m Masks) Ready(k initkind.Kind, sig syscall.Signal) bool {
	return m.handles(sig) || k == initkind.Busybox && m.handles(syscall.SIGTSTP)
}

// handles reports whether sig reaches the process, an init. The kernel drops a
// signal for the init of a pid namespace that has no handler (signal(7)).
// systemd blocks its signals and reads them from a signalfd(2).
func (m Masks) handles(sig syscall.Signal) bool {
	bit := uint64(1) << (uint(sig) - 1)
	return m.Blocked&bit != 0 || m.Caught&bit != 0
}

// StopSignal parses the stop signal of an image: SIGTERM, TERM, 15, SIGRTMIN+3.
// It is SIGTERM if the text is empty or invalid.
func StopSignal(text string) syscall.Signal {
	if sig, err := signame.Parse(text); err == nil {
		return sig
	}
	return syscall.SIGTERM
}

// MaskedUnits returns arguments for systemd that mask the units which fail in a
// VPS with capabilities that VPSs do not have by default. Without these capabilities
// the units skip themselves (ConditionCapability=). In a container systemd reads its
// arguments like the kernel command line.
func MaskedUnits(capabilities []string) []string {
	var all []string
	for _, unit := range []struct{ name, needs string }{
		{"sys-kernel-config.mount", "CAP_SYS_RAWIO"}, {"sys-kernel-debug.mount", "CAP_SYS_RAWIO"},
		{"sys-kernel-tracing.mount", "CAP_SYS_RAWIO"}, {"systemd-modules-load.service", "CAP_SYS_MODULE"},
	} {
		if slices.Contains(capabilities, unit.needs) {
			all = append(all, "systemd.mask="+unit.name)
		}
	}
	return all
}
