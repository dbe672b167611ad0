package inits

import (
	"testing"

	"croft/internal/initkind"
	"croft/internal/signame"
)

// Texts from a VPS give a signal that exists, or none.
func FuzzSignals(f *testing.F) {
	f.Add("SigBlk:\t7be3c0fe28014a03\nSigCgt:\t0000000000001000\n", "SIGRTMIN+3", "pf::powerwait:/etc/init.d/powerfail start\n")
	f.Add("SigBlk", "-1", "::")
	f.Fuzz(func(t *testing.T, status, stop, inittab string) {
		masks := ParseMasks(status)
		for _, kind := range []initkind.Kind{initkind.Systemd, initkind.SysV, initkind.Busybox, initkind.Upstart, initkind.Croft} {
			for _, want := range []Intent{PowerOff, Reboot} {
				sig := SignalFor(kind, want, inittab)
				if sig < 0 || sig > signame.RTMin+30 {
					t.Errorf("%v to %v: signal %d", kind, want, sig)
				}
				if sig != NoSignal && masks == (Masks{}) && masks.Ready(kind, sig) {
					t.Errorf("an init without masks takes signal %d", sig)
				}
			}
		}
		if sig := StopSignal(stop); sig < 1 || sig > 64 {
			t.Errorf("StopSignal(%q) = %d", stop, sig)
		}
	})
}

// Root inside writes utmp. Any content gives the runlevel of its last record of one, or 0.
func FuzzRunlevel(f *testing.F) {
	record := make([]byte, 384)
	record[0], record[4] = 1, '2'
	f.Add(record, 384)
	f.Add(append(record, record[:100]...), 400)
	f.Fuzz(func(t *testing.T, utmp []byte, record int) {
		if record != 384 && record != 400 {
			return // no architecture has such records
		}
		if level := runlevelIn(utmp, record); level != 0 && len(utmp) < record {
			t.Errorf("runlevel %q in %d bytes", level, len(utmp))
		}
	})
}
