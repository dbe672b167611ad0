package runtime

import (
	"path"
	"strconv"
	"strings"
	"syscall"

	"croft/runtime/holder"
)

// An initKind is a family of inits that are stopped and rebooted alike.
type initKind string

// The inits that croft knows.
const (
	initSystemd initKind = "systemd"
	initSysV    initKind = "sysvinit"
	initBusybox initKind = "busybox"
	initOpenRC  initKind = "openrc-init"
	initUpstart initKind = "upstart"
	initRunit   initKind = "runit"
	initOther   initKind = "other"
)

// Real-time signals as systemd counts them (systemd(1), SIGNALS); the C
// library's SIGRTMIN is 34.
const (
	sigRTMin     = syscall.Signal(34)
	sigHalt      = sigRTMin + 3
	sigPowerOff  = sigRTMin + 4
	sigReboot    = sigRTMin + 5
	noSignal     = syscall.Signal(0)
	sigPowerFail = syscall.SIGPWR
)

// inits are where an init is looked for in a root filesystem, in the kernel's
// order (init/main.c) with the embedded world's /init last.
func inits() []string { return []string{"/sbin/init", "/etc/init", "/bin/init", "/init"} }

// kindOfInit tells an init by the file that it runs from, links resolved.
func kindOfInit(exe string) initKind {
	base := path.Base(exe)
	switch {
	case strings.HasPrefix(base, "systemd"):
		return initSystemd
	case strings.HasPrefix(base, "busybox"):
		return initBusybox
	case base == holder.InitName:
		return initCroft
	case base == "openrc-init":
		return initOpenRC
	case base == "upstart":
		return initUpstart
	case base == "runit", base == "runit-init":
		return initRunit
	case base == "init": // sysvinit is the one that keeps the name
		return initSysV
	}
	return initOther
}

// An initStatus is what PID 1 does with signals: the masks of /proc/PID/status.
type initStatus struct {
	Blocked, Caught uint64
}

// handles reports whether sig reaches the init. The kernel drops a signal that
// the init of a namespace has no handler for (signal(7)); systemd blocks its
// signals and reads them from a signalfd.
func (s initStatus) handles(sig syscall.Signal) bool {
	bit := uint64(1) << (uint(sig) - 1)
	return s.Blocked&bit != 0 || s.Caught&bit != 0
}

// ready reports whether an init of kind k does what sig asks for. Busybox waits
// in sigtimedwait(2), during which what it waits for is in neither mask; it
// gets there after it has set its handler of SIGTSTP.
func (s initStatus) ready(k initKind, sig syscall.Signal) bool {
	return s.handles(sig) || k == initBusybox && s.handles(syscall.SIGTSTP)
}

// parseInitStatus reads the masks from the text of /proc/PID/status. Absent
// lines read as "handles nothing".
func parseInitStatus(status string) initStatus {
	var s initStatus
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil {
			continue
		}
		switch key {
		case "SigBlk":
			s.Blocked = mask
		case "SigCgt":
			s.Caught = mask
		}
	}
	return s
}

// An intent is what somebody wants of a running VPS.
type intent string

// The intents.
const (
	powerOff intent = "poweroff"
	reboot   intent = "reboot"
)

// signalFor returns the signal that makes an init of kind k do what is wanted,
// noSignal where the command of that name has to be run inside. A sysvinit
// powers off at SIGPWR only if its inittab says so.
func signalFor(k initKind, want intent, inittab string) syscall.Signal {
	switch {
	case k == initCroft:
		return sigPowerFail
	case k == initSystemd && want == powerOff:
		return sigPowerOff
	case k == initSystemd:
		return sigReboot
	case k == initBusybox && want == powerOff:
		return syscall.SIGUSR2
	case k == initBusybox:
		return syscall.SIGTERM
	case k == initSysV && want == powerOff && hasPowerWait(inittab):
		return sigPowerFail
	case k == initSysV && want == reboot, k == initUpstart && want == reboot:
		return syscall.SIGINT // ctrlaltdel
	case k == initUpstart:
		return sigPowerFail
	}
	return noSignal
}

// hasPowerWait reports whether an inittab(5) acts on a failing power supply.
func hasPowerWait(inittab string) bool {
	for line := range strings.Lines(inittab) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 4)
		if len(fields) == 4 && !strings.HasPrefix(fields[0], "#") && (fields[2] == "powerwait" || fields[2] == "powerfail") {
			return true
		}
	}
	return false
}

// withoutUnits are the arguments that have systemd leave out the units that fail in
// a VPS with all capabilities, and that skip themselves without (systemd takes
// the arguments of a container's init for the kernel's command line).
func withoutUnits() []string {
	var all []string
	for _, unit := range []string{
		"sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "systemd-modules-load.service",
	} {
		all = append(all, "systemd.mask="+unit)
	}
	return all
}
