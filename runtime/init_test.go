package runtime

import (
	"syscall"
	"testing"

	"croft/internal/state"
	"croft/runtime/holder"
	"croft/template"
)

func TestKindOfInit(t *testing.T) {
	for exe, want := range map[string]initKind{
		"/usr/lib/systemd/systemd": initSystemd, "/bin/busybox": initBusybox, "/usr/bin/busybox.static": initBusybox,
		"/sbin/init": initSysV, "/usr/sbin/openrc-init": initOpenRC, "/sbin/upstart": initUpstart,
		"/usr/bin/runit": initRunit, "/usr/lib/runit/runit-init": initRunit, "/usr/bin/s6-svscan": initOther, "": initOther,
	} {
		if got := kindOfInit(exe); got != want {
			t.Errorf("kindOfInit(%q) = %s, want %s", exe, got, want)
		}
	}
}

func TestSignalFor(t *testing.T) {
	const power = "id:2:initdefault:\npf::powerwait:/sbin/poweroff\n"
	for _, c := range []struct {
		kind    initKind
		want    intent
		inittab string
		sig     syscall.Signal
	}{
		{initSystemd, powerOff, "", sigRTMin + 4},
		{initSystemd, reboot, "", sigRTMin + 5},
		{initBusybox, powerOff, power, syscall.SIGUSR2},
		{initBusybox, reboot, "", syscall.SIGTERM},
		{initSysV, powerOff, power, syscall.SIGPWR},
		{initSysV, powerOff, "", noSignal},
		{initSysV, powerOff, "#pf::powerwait:/sbin/poweroff\n", noSignal},
		{initSysV, reboot, "", syscall.SIGINT},
		{initUpstart, powerOff, "", syscall.SIGPWR},
		{initOpenRC, powerOff, power, noSignal},
		{initOther, reboot, "", noSignal},
	} {
		if got := signalFor(c.kind, c.want, c.inittab); got != c.sig {
			t.Errorf("signalFor(%s, %s, %q) = %d, want %d", c.kind, c.want, c.inittab, got, c.sig)
		}
	}
}

// The masks are those of a systemd 252 and of a busybox init that had just
// been executed.
func TestInitStatus(t *testing.T) {
	systemd := parseInitStatus("Name:\tsystemd\nSigBlk:\t7be3c0fe28014a03\nSigIgn:\t0000000000001000\nSigCgt:\t00000001000004ec\n")
	if !systemd.handles(sigPowerOff) {
		t.Error("systemd reads SIGRTMIN+4 from its signalfd")
	}
	if systemd.handles(syscall.SIGPWR + 1) {
		t.Error("a signal in neither mask is not handled")
	}
	busybox := parseInitStatus("SigBlk:\t0000000000000000\nSigCgt:\t0000000000080000\n")
	if !busybox.ready(initBusybox, syscall.SIGUSR2) || busybox.ready(initSysV, syscall.SIGUSR2) {
		t.Error("busybox, and it alone, waits for its signals with SIGTSTP caught")
	}
	if parseInitStatus("").ready(initBusybox, syscall.SIGUSR2) {
		t.Error("a busybox that has only just been executed is ready")
	}
	for _, text := range []string{"", "SigBlk:\n", "SigCgt: zz\n"} {
		if parseInitStatus(text).handles(syscall.SIGUSR2) {
			t.Errorf("%q handles nothing", text)
		}
	}
}

func TestEnding(t *testing.T) {
	for status, want := range map[syscall.WaitStatus]string{
		syscall.WaitStatus(syscall.SIGHUP): endRebooted, syscall.WaitStatus(syscall.SIGINT): endHalted,
		syscall.WaitStatus(syscall.SIGKILL): endKilled, 0: endExited, 7 << 8: endExited,
	} {
		if got := ending(status); got.Reason != want || got.Detail == "" {
			t.Errorf("ending(%#x) = %+v, want %s", int(status), got, want)
		}
	}
	if got := ending(7 << 8).Status; got != 7 {
		t.Errorf("exit status %d, want 7", got)
	}
}

func TestEndOfAnAdoptedInit(t *testing.T) {
	for _, c := range []struct {
		seen holder.End
		want string
	}{
		{holder.End{Known: true, Status: 1}, endRebooted},
		{holder.End{Known: true, Status: 9}, endKilled},
		{holder.End{Known: true, Status: 0}, endExited},
		{holder.End{Known: true, Own: true, Status: 0}, EndUnknown},
		{holder.End{Known: true, Own: true, Status: 9}, EndUnknown},
		{holder.End{Known: true, Own: true, Status: 7 << 8}, endExited},
		{holder.End{}, EndUnknown},
	} {
		if got := endOf(c.seen).Reason; got != c.want {
			t.Errorf("%+v: %s, want %s", c.seen, got, c.want)
		}
	}
}

// A systemd with all capabilities is told which of its units fail.
func TestUnitsLeftOut(t *testing.T) {
	for _, c := range []struct {
		allow []string
		kind  initKind
		want  int
	}{
		{nil, initSystemd, 1}, {[]string{"vsock"}, initSystemd, 1}, {[]string{"capabilities"}, initSystemd, 5}, {[]string{"capabilities"}, initSysV, 1},
	} {
		s := settings(state.VPS{Allow: c.allow}, guestLook{Init: "/sbin/init", Kind: c.kind}, Host{}, template.Image{}, "")
		if len(s.Init) != c.want || s.Init[0] != "/sbin/init" {
			t.Errorf("%v, %s: %q", c.allow, c.kind, s.Init)
		}
	}
}
