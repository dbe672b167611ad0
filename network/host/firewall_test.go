package host

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"croft/internal/vps"
	"croft/network"
)

// listen serves port inside a VPS for as long as the test lasts.
func listen(t *testing.T, pid int, address string) {
	t.Helper()
	inVPS(t, pid, func() error {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
		return nil
	})
}

func connects(pid int, address string) error {
	return enter(pid, func() error {
		c, err := net.DialTimeout("tcp", address, 400*time.Millisecond)
		if err == nil {
			c.Close()
		}
		return err
	})
}

// A firewall is there before the link is, lets through what it says, counts,
// changes while the VPS runs, and leaves the VPS's own rules alone.
func TestFirewallOfAVPS(t *testing.T) {
	p := newPair(t)
	ctx, bob := context.Background(), p.pids[1]
	const own4, own6 = "-A INPUT -s 198.51.100.0/24 -j DROP", "-A INPUT -s 2001:db8::/32 -j DROP"
	ownRules := func() {
		t.Helper()
		inVPS(t, bob, func() error {
			for tool, rule := range map[string]string{"iptables-save": own4, "ip6tables-save": own6} {
				if out, err := command(tool); err != nil || strings.Count(out, rule) != 1 || !strings.Contains(out, ":mine ") {
					return fmt.Errorf("the VPS's own rules: %v\n%s", err, out)
				}
			}
			return nil
		})
	}
	inVPS(t, bob, func() error {
		for _, args := range []string{"iptables " + own4, "ip6tables " + own6, "iptables -N mine", "ip6tables -N mine"} {
			f := strings.Fields(args)
			if _, err := command(f[0], f[1:]...); err != nil {
				return err
			}
		}
		return nil
	})
	for _, six := range []bool{false, true} {
		for _, port := range []string{"22", "80", "81"} {
			listen(t, bob, net.JoinHostPort(p.addr(1, six).String(), port))
		}
	}
	set := func(f vps.Firewall) {
		t.Helper()
		for range 2 {
			if err := p.host.SetFirewall(ctx, f, initOf(bob)); err != nil {
				t.Fatal(err)
			}
		}
		ownRules()
	}
	look := func(f vps.Firewall) network.FirewallInfo {
		t.Helper()
		info, err := p.host.Firewall(ctx, "bob", f, initOf(bob))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	reach := func(want string) {
		t.Helper()
		for _, six := range []bool{false, true} {
			got := ""
			for _, port := range []string{"22", "80", "81"} {
				to := net.JoinHostPort(p.addr(1, six).String(), port)
				open := connects(p.pids[0], to) == nil
				// On a busy machine an answer may come late; one that must not
				// come is waited for once.
				for limit := time.Now().Add(2 * time.Minute); !open && strings.Contains(want, port+" ") && time.Now().Before(limit); {
					open = connects(p.pids[0], to) == nil
				}
				if open {
					got += port + " "
				}
			}
			if got != want {
				t.Errorf("IPv6 %t: %q are reached, want %q", six, got, want)
			}
		}
	}

	reach("22 80 81 ")
	drop := vps.Firewall{Input: vps.PolicyDrop, Rules: []vps.FirewallRule{
		{Chain: vps.ChainInput, Action: vps.ActionReject, Protocol: "tcp", Ports: []string{"22"}},
		{Chain: vps.ChainInput, Action: vps.ActionAllow, Protocol: "tcp", Ports: []string{"22", "80"}},
	}}
	set(drop)
	reach("80 ")
	inVPS(t, bob, func() error { return ping(p.addr(0, true)) }) // answers belong to what it began
	info := look(drop)
	if !info.Applied || len(info.Others) > 0 || info.Rules[0].Packets == 0 || info.Rules[1].Packets < 2 || info.Policies[0].Packets < 2 {
		t.Errorf("%+v", info)
	}

	// A change keeps the counts of what stays.
	more := drop
	more.Rules = append(more.Rules[1:len(more.Rules):len(more.Rules)], vps.FirewallRule{Chain: vps.ChainInput, Action: vps.ActionAllow, Protocol: "tcp", Ports: []string{"81"}})
	set(more)
	reach("22 80 81 ")
	if now := look(more); now.Rules[0].Packets < info.Rules[1].Packets || !now.Applied {
		t.Errorf("counts are gone: %+v", now)
	}

	// What somebody does inside is seen, and mended.
	inVPS(t, bob, func() error {
		_, err := command("iptables", "-D", "CROFT-INPUT", "2")
		if err == nil {
			_, err = command("iptables", "-A", "CROFT-INPUT", "-p", "udp", "-j", "ACCEPT")
		}
		return err
	})
	if info := look(more); info.Applied || info.Rules[0].Applied || !info.Rules[1].Applied || len(info.Others) != 1 || info.Others[0].Rule != "-p udp -j ACCEPT" {
		t.Errorf("%+v", info)
	}
	set(more)
	if info := look(more); !info.Applied || len(info.Others) > 0 {
		t.Errorf("%+v", info)
	}

	// Everything that a rule can say is printed by iptables-save as we do.
	set(someFirewall())
	if info := look(someFirewall()); !info.Applied || len(info.Others) > 0 {
		t.Errorf("%+v", info)
	}
	set(vps.Firewall{})
	inVPS(t, bob, func() error {
		out, err := command("iptables-save")
		if err == nil && strings.Contains(out, "CROFT") {
			err = fmt.Errorf("left behind: %s", out)
		}
		return err
	})
	reach("22 80 81 ")
	if host := run(t, "iptables-save"); strings.Contains(host, "CROFT-INPUT") {
		t.Errorf("the rules are the host's: %s", host)
	}
}
