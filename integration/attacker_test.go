//go:build integration

package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"croft/integration/attack"
)

// The test binary is put into VPSs too, where it attacks or listens as their root.
const (
	attackStage = "attack" // everything once, or without end
	listenStage = "listen" // to everything, until its input ends
	callsStage  = "calls"  // make system calls that the filter is about
)

// A target is what an attacker is told.
type target struct {
	Link                  string
	Self, Victim, Gateway attack.Party
	Broadcast             netip.Addr
	Forever               bool // and take the link down and up meanwhile
}

// attackInside is the attacker. What cannot be sent because the link is down
// is sent again later.
func attackInside() int {
	var to target
	if err := json.Unmarshal([]byte(os.Getenv("CROFT_TEST_TARGET")), &to); err != nil {
		fmt.Fprintln(os.Stderr, "attack:", err)
		return 1
	}
	if to.Forever {
		go func() {
			for ; ; time.Sleep(20 * time.Millisecond) {
				_ = exec.Command("ip", "link", "set", to.Link, "down").Run()
				_ = exec.Command("ip", "link", "set", to.Link, "up").Run()
			}
		}()
		for {
			_ = to.once()
		}
	}
	if err := to.once(); err != nil {
		fmt.Fprintln(os.Stderr, "attack:", err)
		return 1
	}
	return 0
}

func (to target) once() error {
	for _, a := range attack.By(to.Self, to.Victim, to.Gateway, to.Broadcast) {
		if err := attack.Send(to.Link, a.Frames...); err != nil {
			return fmt.Errorf("%s: %w", a.Name, err)
		}
	}
	if to.Forever {
		return nil
	}
	flood := attack.Ether(attack.BroadcastMAC, attack.ForeignMAC, 0x0800,
		attack.IPv4(to.Self.IPv4, to.Gateway.IPv4, 17, attack.UDP(1, 1, attack.Magic)))
	return attack.SendMACs(to.Link, flood, 0, 100_000)
}

// listenInside says "ready", and what it heard of others when its input ends: a
// line for each frame of an attack, or one that is neither from its link nor to it.
func listenInside() int {
	link, err := net.InterfaceByName("eth0")
	var fd int
	if err == nil {
		fd, err = attack.Listen("eth0")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "listen:", err)
		return 1
	}
	defer syscall.Close(fd)
	fmt.Println("ready")
	ended := make(chan struct{})
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadString(0)
		close(ended)
	}()
	for heard, last := 0, false; ; {
		frames, err := attack.Received(fd)
		if err != nil {
			fmt.Fprintln(os.Stderr, "listen:", err)
			return 1
		}
		for _, f := range frames {
			if bytes.Contains(f, []byte(attack.Magic)) || !bytes.Equal(f[:6], link.HardwareAddr) && !bytes.Equal(f[6:12], link.HardwareAddr) {
				fmt.Printf("% x\n", f)
			}
			heard++
		}
		if last {
			fmt.Println("heard", heard)
			return 0
		}
		select {
		case <-ended:
			last = true
		case <-time.After(time.Millisecond):
		}
	}
}

// foreign are the lines about frames that a listener should not have heard.
func foreign(out string) []string {
	var all []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "ready" && !strings.HasPrefix(line, "heard ") {
			all = append(all, line)
		}
	}
	return all
}
