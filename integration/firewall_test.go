//go:build integration

package integration

import (
	"encoding/json"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// plainAddresses are a VPS's addresses without their prefix lengths.
func plainAddresses(t *testing.T, vps string) []string {
	t.Helper()
	var all []string
	for _, i := range inspect(t, vps).Interfaces {
		for _, a := range i.Addresses {
			plain, _, _ := strings.Cut(a, "/")
			all = append(all, plain)
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s has no address", vps)
	}
	return all
}

// serve has a VPS answer on TCP ports with "here".
func serve(t *testing.T, vps string, ports ...string) {
	t.Helper()
	for _, p := range ports {
		sh(t, vps, "nc -ll -p "+p+" -e echo here </dev/null >/dev/null 2>&1 &")
	}
	for _, p := range ports {
		eventually(t, "it listens on "+p, func() bool {
			return try("exec", vps, "--", "nc", "-w", "1", "127.0.0.1", p).out == "here\n"
		})
	}
}

func hostConnects(address, port string) bool {
	c, err := net.DialTimeout("tcp", net.JoinHostPort(address, port), 400*time.Millisecond)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func TestFirewall(t *testing.T) {
	hostAsBefore(t)
	vps := create(t, "busybox")
	other := boot(t, "busybox")
	must(t, "firewall", vps, "policy", "input", "drop")
	addresses := plainAddresses(t, vps)

	t.Run("from the first instant", func(t *testing.T) {
		var pings []*exec.Cmd
		var outs []*strings.Builder
		for _, a := range addresses {
			out := &strings.Builder{}
			p := exec.Command("ping", "-n", "-i", "0.01", a)
			p.Stdout = out
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			pings, outs = append(pings, p), append(outs, out)
		}
		must(t, "start", "--wait", vps)
		for i, p := range pings {
			if err := p.Process.Signal(syscall.SIGINT); err != nil {
				t.Error(err)
			}
			_ = p.Wait()
			if got := outs[i].String(); !strings.Contains(got, " 0 received") {
				t.Errorf("it was reached while it started: %s", got)
			}
		}
	})

	serve(t, vps, "22", "80")
	reach := func(want string) {
		t.Helper()
		for _, a := range addresses {
			got := ""
			for _, port := range []string{"22", "80"} {
				if hostConnects(a, port) {
					got += port + " "
				}
			}
			if got != want {
				t.Errorf("%s: %q are reached, want %q", a, got, want)
			}
		}
	}
	reach("")
	if !pings(vps, plainAddresses(t, other)[0]) {
		t.Error("answers to what it asked do not reach it")
	}
	must(t, "firewall", vps, "allow", "80/tcp", "icmp")
	reach("80 ")
	if !hostPings(addresses[0]) || !hostPings(addresses[1]) {
		t.Error("icmp is allowed, and it does not answer")
	}
	must(t, "firewall", vps, "deny", "80/tcp", "--from", plainAddresses(t, other)[0], "--at", "1")
	if try("exec", other, "--", "nc", "-w", "1", addresses[0], "80").out != "" {
		t.Error("who is denied gets in")
	}
	reach("80 ")

	var list struct {
		Applied bool
		Rules   []struct {
			Number  int
			Action  string
			Applied bool
			Packets uint64
		}
	}
	look := func() {
		t.Helper()
		if err := json.Unmarshal([]byte(must(t, "firewall", vps, "list", "--json")), &list); err != nil {
			t.Fatal(err)
		}
	}
	look()
	if !list.Applied || len(list.Rules) != 3 || list.Rules[0].Action != "deny" || list.Rules[0].Packets == 0 || list.Rules[1].Packets == 0 {
		t.Errorf("%+v", list)
	}

	must(t, "restart", "--fast", vps)
	eventually(t, "it answers again", func() bool { return hostPings(addresses[0]) })
	serve(t, vps, "22", "80")
	reach("80 ")
	refused(t, 3, vps+" no rule allow 80", "firewall", vps, "remove", "allow", "80")
	must(t, "firewall", vps, "remove", "allow", "80/tcp")
	reach("")
	must(t, "firewall", vps, "remove", "1")
	reach("")
	refused(t, 3, vps+" rule 9", "firewall", vps, "remove", "9")
	refused(t, 2, "families", "firewall", vps, "allow", "80", "--from", "10.0.0.1", "--to", "fd00::1")
	refused(t, 3, "absent", "firewall", "absent", "list")
	must(t, "firewall", vps, "flush")
	reach("22 80 ")
	look()
	if len(list.Rules) != 0 {
		t.Errorf("flushed, and there is %+v", list)
	}
}
