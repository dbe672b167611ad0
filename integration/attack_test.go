//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"croft/integration/attack"
)

// party is who a VPS is on its network.
func party(t *testing.T, vps string) attack.Party {
	t.Helper()
	at := inspect(t, vps).Interfaces[0]
	mac, err := net.ParseMAC(at.MAC)
	if err != nil {
		t.Fatal(err)
	}
	p := attack.Party{MAC: mac}
	for _, a := range plainAddresses(t, vps) {
		if ip := netip.MustParseAddr(a); ip.Is4() {
			p.IPv4 = ip
		} else {
			p.IPv6 = ip
		}
	}
	return p
}

// gatewayOf is the host, as the VPSs of the default network see it.
func gatewayOf(t *testing.T) attack.Party {
	t.Helper()
	bridge, err := net.InterfaceByName("croft0")
	if err != nil {
		t.Fatal(err)
	}
	return attack.Party{MAC: bridge.HardwareAddr, IPv4: netip.MustParseAddr(on(t, true, 1)), IPv6: netip.MustParseAddr(on(t, false, 1))}
}

// bring puts this test binary into a running VPS, as /attack.
func bring(t *testing.T, vps string) {
	t.Helper()
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	cmd := command(t.Context(), "exec", vps, "--", "sh", "-c", "cat >/attack && chmod 755 /attack")
	cmd.Stdin = self
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// listens has a VPS hear everything until the function that it returns is
// called, which fails the test for each frame that was none of the VPS's business.
func listens(t *testing.T, vps string) (end func()) {
	t.Helper()
	bring(t, vps)
	cmd := command(t.Context(), "exec", "--env", stageVariable+"="+listenStage, vps, "--", "/attack")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make([]byte, len("ready\n"))
	if _, err := output.Read(ready); err != nil || string(ready) != "ready\n" {
		t.Fatalf("%s: %q, %v: %s", vps, ready, err, &errOut)
	}
	all := readAll(output)
	return func() {
		t.Helper()
		input.Close()
		out := <-all
		if err := cmd.Wait(); err != nil || !strings.Contains(out, "heard ") || strings.Contains(out, "heard 0") {
			t.Errorf("%s: %v: %s%s", vps, err, shorten(out), &errOut)
		}
		for i, line := range foreign(out) {
			if i < 5 {
				t.Errorf("%s heard %s", vps, line)
			}
		}
	}
}

// droppedOf is what inspect shows of the frames that were dropped.
func droppedOf(t *testing.T, vps string) map[string]uint64 {
	t.Helper()
	var v struct {
		Interfaces []struct{ Dropped map[string]uint64 }
	}
	if err := json.Unmarshal([]byte(must(t, "inspect", vps)), &v); err != nil {
		t.Fatal(err)
	}
	return v.Interfaces[0].Dropped
}

// Root of a VPS, with raw sockets, from the first instruction of its init on and
// while it takes its link down and up, gets no frame to another VPS or the host
// that is not its own, and hears none that is not for it.
func TestAttacker(t *testing.T) {
	hostAsBefore(t)
	victim, spy, mallory := boot(t, "busybox"), boot(t, "busybox"), boot(t, "busybox")
	bring(t, mallory)
	to := target{Link: "eth0", Self: party(t, mallory), Victim: party(t, victim), Gateway: gatewayOf(t)}
	to.Broadcast = netip.MustParseAddr(on(t, true, 255))
	order := func(forever bool) string {
		to.Forever = forever
		text, err := json.Marshal(to)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s=%s CROFT_TEST_TARGET='%s' /attack", stageVariable, attackStage, text)
	}
	bridge, err := attack.Listen("croft0")
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(bridge)
	quiet := func(when string) {
		t.Helper()
		frames, err := attack.Received(bridge)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range frames {
			if bytes.Contains(f, []byte(attack.Magic)) {
				t.Fatalf("%s: the host got % x", when, f)
			}
		}
	}
	endVictim, endSpy := listens(t, victim), listens(t, spy)
	works := func(when string) {
		t.Helper()
		if v := address(t, victim, 0); !hostPings(v) || !pings(victim, outsideUp) || !pings(spy, v) || !pings(victim, outsideUp6) {
			t.Errorf("%s: the victim does not work any more", when)
		}
	}

	t.Run("since its init runs", func(t *testing.T) {
		sh(t, mallory, "sed -i '1i ::sysinit:/attack-at-boot' /etc/inittab; cat >/attack-at-boot <<-'END'; chmod 755 /attack-at-boot\n"+
			"#!/bin/sh\n"+order(true)+" >/dev/null 2>&1 &\nEND")
		must(t, "restart", "--fast", mallory)
		eventually(t, "each sort of frame is dropped", func() bool {
			d := droppedOf(t, mallory)
			for _, a := range attack.By(to.Self, to.Victim, to.Gateway, to.Broadcast) {
				if d[a.Reason] < uint64(len(a.Frames)) {
					return false
				}
			}
			return true
		})
		works("during a boot full of attacks")
		quiet("during a boot full of attacks")
		sh(t, mallory, "sed -i 1d /etc/inittab")
		must(t, "restart", "--fast", "--wait=network", mallory)
	})

	t.Run("everything once", func(t *testing.T) {
		before := droppedOf(t, mallory)
		sh(t, mallory, order(false))
		after := droppedOf(t, mallory)
		// Of the flood at least as many as the kernel queues (netdev_max_backlog): on
		// a busy machine it drops the rest before the filters count it.
		want := map[string]uint64{"mac": 1000}
		for _, a := range attack.By(to.Self, to.Victim, to.Gateway, to.Broadcast) {
			want[a.Reason] += uint64(len(a.Frames))
		}
		for reason, n := range want {
			if after[reason]-before[reason] < n {
				t.Errorf("%s: %d dropped, %d were sent", reason, after[reason]-before[reason], n)
			}
		}
		works("after the attacks")
		quiet("after the attacks")
		if !pings(mallory, outsideUp) {
			t.Error("what is its own does not pass any more")
		}
	})

	t.Run("with its own tools", func(t *testing.T) {
		v, g := to.Victim, to.Gateway.IPv4.String()
		in(t, mallory, "ip", "address", "add", v.IPv4.String()+"/32", "dev", "eth0")
		if try("exec", mallory, "--", "ping", "-c", "1", "-W", "1", "-I", v.IPv4.String(), g).status == 0 {
			t.Error("it was answered at the victim's address")
		}
		sh(t, mallory, "ip link set eth0 down; ip link set eth0 address "+v.MAC.String()+"; ip link set eth0 up")
		if try("exec", mallory, "--", "ping", "-c", "1", "-W", "1", g).status == 0 {
			t.Error("it was answered at the victim's MAC")
		}
		works("after another took its address and its MAC")
		must(t, "restart", "--fast", "--wait=network", mallory)
		if !pings(mallory, outsideUp) {
			t.Error("it does not work after a restart")
		}
	})
	endVictim()
	endSpy()
}
