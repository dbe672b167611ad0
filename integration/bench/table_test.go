package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	c := comparison{
		Row: "start", What: "start of a busybox VPS until its init runs, with a network and a user namespace", Target: 1,
		Outcomes: []outcome{
			{Peer: "croft", Samples: []sample{{Wall: ms(90), CPU: ms(80)}, {Wall: ms(110), CPU: ms(1800)}}},
			{Peer: "runc", Samples: []sample{{Wall: ms(45), CPU: ms(20)}, {Wall: ms(44), CPU: ms(18)}}},
			{Peer: "podman", Samples: []sample{{Bytes: 3 << 20}}},
			{Peer: "systemd-nspawn --boot", Error: "Failed to allocate scope: " + strings.Repeat("x", 90)},
		},
	}
	const want = `start: start of a busybox VPS until its init runs, with a network and a user
namespace
  croft                       wall     100 ms     90.0 ms - 110 ms
                              CPU      940 ms     80.0 ms - 1.80 s
  runc                        wall    44.5 ms    44.0 ms - 45.0 ms   2.25 <1.00
                              CPU     19.0 ms    18.0 ms - 20.0 ms   52.0
  podman                      bytes  3.00 MiB  3.00 MiB - 3.00 MiB
  ! systemd-nspawn --boot: Failed to allocate scope:
  ! xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
  ! xxxxxxxxxxxxxx
`
	got := c.table()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for line := range strings.Lines(heading() + "\n" + got) {
		if len(line) > columns+1 {
			t.Errorf("wider than %d columns: %s", columns, line)
		}
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[float64]string{
		12: "12 ns", 1234: "1.23 us", 56_700_000: "56.7 ms", 1_250_000_000: "1.25 s", 251_000_000_000: "251 s",
	} {
		if got := duration(n); got != want {
			t.Errorf("%.0f is %s, not %s", n, got, want)
		}
	}
	for n, want := range map[float64]string{0: "0.00", 0.0123: "0.012", 0.98: "0.98", 12.34: "12.3", 1234: "1234"} {
		if got := number(n); got != want {
			t.Errorf("%v is %s, not %s", n, got, want)
		}
	}
	if got := size(2.5 * (1 << 30)); got != "2.50 GiB" {
		t.Error(got)
	}
}
