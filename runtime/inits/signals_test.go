package inits

import (
	"syscall"
	"testing"

	"croft/internal/initkind"
)

func TestSignalFor(t *testing.T) {
	const power = "id:2:initdefault:\npf::powerwait:/sbin/poweroff\n"
	for _, c := range []struct {
		kind    initkind.Kind
		want    Intent
		inittab string
		sig     syscall.Signal
	}{
		{initkind.Systemd, PowerOff, "", sigRTMin + 4},
		{initkind.Systemd, Reboot, "", sigRTMin + 5},
		{initkind.Busybox, PowerOff, power, syscall.SIGUSR2},
		{initkind.Busybox, Reboot, "", syscall.SIGTERM},
		{initkind.SysV, PowerOff, power, syscall.SIGPWR},
		{initkind.SysV, PowerOff, "", NoSignal},
		{initkind.SysV, PowerOff, "#pf::powerwait:/sbin/poweroff\n", NoSignal},
		{initkind.SysV, Reboot, "", syscall.SIGINT},
		{initkind.Upstart, PowerOff, "", syscall.SIGPWR},
		{initkind.OpenRC, PowerOff, power, NoSignal},
		{initkind.Other, Reboot, "", NoSignal},
	} {
		if got := SignalFor(c.kind, c.want, c.inittab); got != c.sig {
			t.Errorf("SignalFor(%s, %s, %q) = %d, want %d", c.kind, c.want, c.inittab, got, c.sig)
		}
	}
}

// The masks are those of a systemd 252 and of a busybox init that had just
// been executed.
func TestInitStatus(t *testing.T) {
	systemd := ParseMasks("Name:\tsystemd\nSigBlk:\t7be3c0fe28014a03\nSigIgn:\t0000000000001000\nSigCgt:\t00000001000004ec\n")
	if !systemd.handles(sigPowerOff) {
		t.Error("systemd reads SIGRTMIN+4 from its signalfd")
	}
	if systemd.handles(syscall.SIGPWR + 1) {
		t.Error("a signal in neither mask is not handled")
	}
	busybox := ParseMasks("SigBlk:\t0000000000000000\nSigCgt:\t0000000000080000\n")
	if !busybox.Ready(initkind.Busybox, syscall.SIGUSR2) || busybox.Ready(initkind.SysV, syscall.SIGUSR2) {
		t.Error("busybox, and it alone, waits for its signals with SIGTSTP caught")
	}
	if ParseMasks("").Ready(initkind.Busybox, syscall.SIGUSR2) {
		t.Error("a busybox that has only just been executed is ready")
	}
	for _, text := range []string{"", "SigBlk:\n", "SigCgt: zz\n"} {
		if ParseMasks(text).handles(syscall.SIGUSR2) {
			t.Errorf("%q handles nothing", text)
		}
	}
}

func TestStopSignal(t *testing.T) {
	for text, want := range map[string]syscall.Signal{
		"": syscall.SIGTERM, "SIGTERM": syscall.SIGTERM, "quit": syscall.SIGQUIT, "15": 15, "SIGRTMIN+3": sigRTMin + 3, "RTMIN": sigRTMin,
		"SIGRTMIN+99": syscall.SIGTERM, "0": syscall.SIGTERM, "65": syscall.SIGTERM, "nonsense": syscall.SIGTERM,
	} {
		if got := StopSignal(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}
