package view

import (
	"bytes"
	"testing"
)

// A list of processors that is accepted is written and read again as the same set.
func FuzzCPUs(f *testing.F) {
	for _, seed := range []string{"0-3,5\n", "", "7", "3-1", "0-99999999999999999999", "0,,1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var s, again CPUs
		if !s.Parse(text) {
			return
		}
		list := s.List(nil)
		if s.Count() > 0 && (!again.Parse(list) || again != s) {
			t.Errorf("%q is %q, which is another set", text, list)
		}
	})
}

// The views of a VPS are no longer than a small multiple of the host's files.
func FuzzViews(f *testing.F) {
	f.Add([]byte("processor\t: 0\nmodel name\t: x\n\nprocessor\t: 1\n\n"), []byte("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n"))
	f.Add([]byte("   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n"), []byte("8:0 rbytes=99999999999999999999"))
	f.Add([]byte("MemTotal:  8000000 kB\nMemFree: 1 kB\nSwapTotal: 5 kB\n"), []byte(":"))
	f.Fuzz(func(t *testing.T, machine, group []byte) {
		var s CPUs
		s.Parse(group)
		bound := 64*(len(machine)+len(group)) + 65536
		if out := s.CPUInfo(nil, machine); len(out) > bound {
			t.Errorf("CPUInfo has %d bytes", len(out))
		}
		out := DiskStats(nil, machine, group)
		if len(out) > bound || len(out) > 0 && !bytes.HasSuffix(out, []byte("\n")) {
			t.Errorf("DiskStats has %d bytes: %q", len(out), out)
		}
		var m Memory
		if out := m.MemInfo(nil, machine); len(out) > bound {
			t.Errorf("MemInfo has %d bytes", len(out))
		}
		if out := m.Swaps(nil, machine); len(out) > bound {
			t.Errorf("Swaps has %d bytes", len(out))
		}
	})
}
