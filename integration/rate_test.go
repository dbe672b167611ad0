//go:build integration

package integration

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// rates are those of a VPS's first interface, as inspect shows them.
func rates(t *testing.T, vps string) (in, out uint64) {
	t.Helper()
	var v struct {
		Interfaces []struct {
			Rate struct{ InBitsPerSecond, OutBitsPerSecond uint64 }
		}
	}
	if err := json.Unmarshal([]byte(must(t, "inspect", vps)), &v); err != nil {
		t.Fatal(err)
	}
	return v.Interfaces[0].Rate.InBitsPerSecond, v.Interfaces[0].Rate.OutBitsPerSecond
}

// What goes from VPS to VPS keeps to the rates of both, from the start on and
// when they are set, whatever root inside does.
func TestRate(t *testing.T) {
	hostAsBefore(t)
	slow := create(t, "busybox", "--rate", "16M")
	other := create(t, "busybox")
	must(t, "start", "--wait=network", slow, other)
	const size = 1 << 20
	// within: at the rate, a bucket at first, that many bytes need at least that
	// long; a busy machine makes it more, never less.
	within := func(what string, rate int, from, to string) {
		t.Helper()
		_, wait := background(t, "exec", to, "--", "sh", "-c",
			"rm -f /tmp/open; mkfifo /tmp/open; exec 3<>/tmp/open; nc -l -p 9999 <&3 | wc -c") // nc ends with its input, too
		eventually(t, "it listens", func() bool { return strings.Contains(in(t, to, "netstat", "-ltn"), ":9999") })
		start := time.Now()
		sh(t, from, "dd if=/dev/zero bs=64k count=16 2>/dev/null | nc "+address(t, to, 0)+" 9999")
		r := wait()
		took := time.Since(start)
		if strings.TrimSpace(r.out) != "1048576" {
			t.Errorf("%s: %s", what, r)
		}
		if most := float64(rate)/8*took.Seconds() + max(float64(rate)/800, 16<<10); size > most {
			t.Errorf("%s: %d bytes in %v, and %.0f at most", what, size, took, most)
		}
	}
	within("to it, since its start", 16e6, other, slow)
	within("from it, since its start", 16e6, slow, other)
	must(t, "set", slow, "--rate", "unlimited")
	must(t, "set", other, "--rate", "out=unlimited,in=24M")
	if in, out := rates(t, other); in != 24_000_000 || out != 0 {
		t.Errorf("shown are %d and %d", in, out)
	}
	in(t, other, "ip", "link", "set", "eth0", "mtu", "1400")
	within("to the other, set live", 24e6, slow, other)
	link := inspect(t, other).Interfaces[0].HostLink
	if out, err := exec.Command("tc", "qdisc", "del", "dev", link, "root").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	must(t, "network", "repair")
	within("to the other, repaired", 24e6, slow, other)
	refused(t, 3, "eth7", "set", other, "--rate", "eth7:1M")
	refused(t, 2, "--rate", "set", other, "--rate", "1")
	if out, err := exec.Command("tc", "qdisc", "show", "dev", inspect(t, slow).Interfaces[0].HostLink, "root").CombinedOutput(); err != nil || strings.Contains(string(out), "tbf") {
		t.Errorf("unlimited, there is still, %v: %s", err, out)
	}
}
