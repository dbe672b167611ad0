package inits

import (
	"encoding/binary"
	"testing"
	"time"
)

// An init that croft knows nothing of has booted when its processes have run
// for a while, and at the latest after the end.
func TestSettled(t *testing.T) {
	const just, long = time.Second, settledAfter
	for _, c := range []struct {
		init     time.Duration
		children []time.Duration
		want     bool
	}{
		{long, []time.Duration{long, long}, true},
		{long, []time.Duration{long, just}, false},
		{long, nil, false},
		{settledAtEnd, []time.Duration{just}, true},
		{settledAtEnd, nil, true},
	} {
		if got := settled(c.init, c.children); got != c.want {
			t.Errorf("settled(%v, %v) = %t", c.init, c.children, got)
		}
	}
}

func TestRunsScripts(t *testing.T) {
	const init = "init [2]\x00\x00\x00"
	for cmdline, want := range map[string]bool{
		init:                                  true, // has not executed anything yet
		"/bin/sh\x00/etc/init.d/rc\x002\x00":  true,
		"/etc/init.d/rcS\x00":                 true,
		"openrc\x00default\x00":               true,
		"/sbin/openrc\x00boot\x00":            true,
		"/sbin/getty\x0038400\x00console\x00": false,
		"sh\x00-c\x00rc\x00":                  false,
		"":                                    false,
	} {
		if got := runsScripts(cmdline, init); got != want {
			t.Errorf("runsScripts(%q) = %t", cmdline, got)
		}
	}
	if runsScripts("", "") {
		t.Error("a zombie runs scripts")
	}
}

// utmp has longer records where glibc's time is 64 bits wide.
func TestRunlevelOfBothRecordSizes(t *testing.T) {
	for arch, size := range map[string]int{"amd64": 384, "arm64": 400, "riscv64": 384} {
		if got := utmpRecord(arch); got != size {
			t.Errorf("%s: records of %d bytes, not %d", arch, got, size)
		}
		utmp := make([]byte, 3*size)
		binary.NativeEndian.PutUint16(utmp[size:], 1)
		binary.NativeEndian.PutUint32(utmp[size+4:], 'S'<<8|'2')
		if got := runlevelIn(utmp, size); got != '2' {
			t.Errorf("%s: runlevel %q", arch, got)
		}
	}
}

func TestRunlevel(t *testing.T) {
	record := func(kind int16, pid int32) []byte {
		b := make([]byte, 384)
		binary.NativeEndian.PutUint16(b, uint16(kind))
		binary.NativeEndian.PutUint32(b[4:], uint32(pid))
		return b
	}
	boot, level := record(2, 0), record(1, '2'+'N'*256)
	for name, c := range map[string]struct {
		utmp []byte
		want byte
	}{
		"empty": {nil, 0}, "booting": {boot, 0}, "up": {append(boot, level...), '2'}, "short": {level[:100], 0},
	} {
		if got := runlevel(c.utmp); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
