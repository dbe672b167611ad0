package host

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/network"
)

func TestListening(t *testing.T) {
	const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 3500007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 1111 1 0000000000000000 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2222 1 0000000000000000 100 0 0 10 0
   2: 0100007F:0050 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 3333 1 0000000000000000 100 0 0 10 0
`
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the text is of a little-endian host")
	}
	all := listening(tcp, "tcp")
	if len(all) != 2 || all[0].at.String() != "127.0.0.53:53" || all[1].at.String() != "0.0.0.0:22" || all[1].inode != "2222" {
		t.Fatalf("%+v", all)
	}
	six := listening("h\n 0: 00000000000000000000000001000000:0050 0:0 0A 0 0 0 0 0 7 1\n 1: 0000000000000000FFFF00000100007F:0051 0:0 0A 0 0 0 0 0 8 1\n", "tcp")
	if len(six) != 2 || six[0].at.String() != "[::1]:80" || six[1].at.String() != "127.0.0.1:81" {
		t.Fatalf("%+v", six)
	}
	for _, c := range []struct {
		at   string
		p    vps.Publication
		want bool
	}{
		{"0.0.0.0:80", vps.Publication{Ports: "80"}, true},
		{"0.0.0.0:80", vps.Publication{Ports: "81-99"}, false},
		{"127.0.0.53:53", vps.Publication{Ports: "53"}, true},
		{"127.0.0.53:53", vps.Publication{Ports: "53", Host: "192.0.2.1"}, false},
		{"0.0.0.0:53", vps.Publication{Ports: "50-60", Host: "192.0.2.1"}, true},
		{"[::]:53", vps.Publication{Ports: "53", Host: "192.0.2.1"}, true},
		{"[::1]:53", vps.Publication{Ports: "53", Host: "192.0.2.1"}, false},
		{"[::1]:53", vps.Publication{Ports: "53", Host: "::"}, true},
		{"127.0.0.1:53", vps.Publication{Ports: "53", Host: "0.0.0.0"}, true},
		{"127.0.0.1:53", vps.Publication{Ports: "53", Host: "::"}, false},
	} {
		if got := (listener{at: netip.MustParseAddrPort(c.at)}).takes(c.p); got != c.want {
			t.Errorf("%s and %s: %t", c.at, c.p, got)
		}
	}
}

// asked is what a server says to who connects: where that came from.
func asked(network, address string) (string, error) {
	c, err := net.DialTimeout(network, address, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	if _, err := c.Write([]byte("?")); err != nil {
		return "", err
	}
	answer := make([]byte, 100)
	n, err := c.Read(answer)
	return string(answer[:n]), err
}

// tell answers on a port of TCP and UDP inside a VPS with name and the
// address that the question came from.
func tell(t *testing.T, pid int, name, port string) {
	t.Helper()
	inVPS(t, pid, func() error {
		l, err := net.Listen("tcp", ":"+port)
		if err != nil {
			return err
		}
		u, err := net.ListenPacket("udp", ":"+port)
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close(); u.Close() })
		host := func(a net.Addr) string { h, _, _ := net.SplitHostPort(a.String()); return name + " " + h }
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(c, host(c.RemoteAddr()))
				c.Close()
			}
		}()
		go func() {
			for buf := make([]byte, 9); ; {
				_, from, err := u.ReadFrom(buf)
				if err != nil {
					return
				}
				_, _ = u.WriteTo([]byte(host(from)), from)
			}
		}()
		return nil
	})
}

// outside is a machine beyond the host's uplink, which knows the host alone.
func outside(t *testing.T) int {
	t.Helper()
	pid := newVPS(t)
	in := []string{"nsenter", "-t", fmt.Sprint(pid), "-n", "ip"}
	for _, line := range []string{
		"ip link add up0 type veth peer name eth0 netns " + fmt.Sprint(pid),
		"ip addr add 192.0.2.1/24 dev up0", "ip addr add 2001:db8::1/64 dev up0 nodad", "ip link set up0 up",
		strings.Join(in, " ") + " addr add 192.0.2.2/24 dev eth0", strings.Join(in, " ") + " addr add 2001:db8::2/64 dev eth0 nodad",
		strings.Join(in, " ") + " link set eth0 up",
	} {
		f := strings.Fields(line)
		run(t, f[0], f[1:]...)
	}
	return pid
}

// eventuallySays asks until the answer is want; on a busy machine one that
// must not come is waited for no longer than others.
func eventuallySays(t *testing.T, what, want string, ask func() (string, error)) {
	t.Helper()
	var got string
	var err error
	for limit := time.Now().Add(2 * time.Minute); time.Now().Before(limit); time.Sleep(20 * time.Millisecond) {
		if got, err = ask(); got == want || want == "" && err != nil {
			return
		}
	}
	t.Errorf("%s: %q, %v; want %q", what, got, err, want)
}

func TestPublishedPortsAreReached(t *testing.T) {
	p := newPair(t)
	out := outside(t)
	ctx := context.Background()
	tell(t, p.pids[0], "alice", "80")
	tell(t, p.pids[0], "alice", "81")
	tell(t, p.pids[1], "bob", "80")
	published := network.Published{Plan: p.plans[0], Ports: []vps.Publication{
		{Protocol: "tcp", Ports: "8080-8081", To: "80-81"}, {Protocol: "udp", Ports: "8080", To: "80"},
		{Protocol: "tcp", Host: "127.0.0.1", Ports: "2222", To: "80"},
		{Protocol: "tcp", Host: "192.0.2.1", Ports: "81", To: "81"},
	}}
	rulesBefore := run(t, "iptables-save") + run(t, "ip6tables-save")
	for range 2 {
		if err := p.host.Publish(ctx, []network.Published{published}); err != nil {
			t.Fatal(err)
		}
	}
	where := func(pid int, f func() (string, error)) func() (string, error) {
		return func() (s string, err error) {
			if pid == 0 {
				return f()
			}
			return s, enter(pid, func() error { s, err = f(); return err })
		}
	}
	gateway := map[bool]string{false: p.table.Gateway4().String(), true: p.table.Gateway6().String()}
	up := map[bool]string{false: "192.0.2.1", true: "2001:db8::1"}
	far := map[bool]string{false: "192.0.2.2", true: "2001:db8::2"}
	loopback := map[bool]string{false: "127.0.0.1", true: "::1"}
	check := func(want bool) {
		t.Helper()
		for _, six := range []bool{false, true} {
			for _, c := range []struct {
				who, to, seen string
				pid           int
			}{
				{"outside", up[six], far[six], out},
				{"the host by its address", up[six], up[six], 0},
				{"the host by its gateway's", gateway[six], gateway[six], 0},
				{"the host by loopback", loopback[six], gateway[six], 0},
				{"another VPS", up[six], p.addr(1, six).String(), p.pids[1]},
				{"another VPS by the gateway", gateway[six], p.addr(1, six).String(), p.pids[1]},
				{"itself", up[six], gateway[six], p.pids[0]},
			} {
				for _, network := range []string{"tcp", "udp"} {
					answer := ""
					if want {
						answer = "alice " + c.seen
					}
					eventuallySays(t, network+" from "+c.who, answer, where(c.pid, func() (string, error) {
						return asked(network, net.JoinHostPort(c.to, "8080"))
					}))
				}
			}
		}
	}
	check(true)
	eventuallySays(t, "a range", "alice 192.0.2.2", where(out, func() (string, error) { return asked("tcp", "192.0.2.1:8081") }))
	eventuallySays(t, "one address", "alice 192.0.2.2", where(out, func() (string, error) { return asked("tcp", "192.0.2.1:81") }))
	eventuallySays(t, "one address, by another", "", where(0, func() (string, error) { return asked("tcp", gateway[false]+":81") }))
	eventuallySays(t, "loopback alone, from outside", "", where(out, func() (string, error) { return asked("tcp", "192.0.2.1:2222") }))
	eventuallySays(t, "loopback alone", "alice "+gateway[false], where(0, func() (string, error) { return asked("tcp", "127.0.0.1:2222") }))
	info, err := p.host.Published(ctx, published)
	if err != nil || !info.Applied || len(info.Published) != 4 || !info.Published[3].Applied {
		t.Errorf("%+v, %v", info, err)
	}

	// What others flush comes back, and is seen until then.
	run(t, "iptables", "-t", "nat", "-F", "CROFT-OUTPUT")
	if info, err = p.host.Published(ctx, published); err != nil || info.Applied || info.Published[0].Applied {
		t.Errorf("%+v, %v", info, err)
	}
	run(t, "iptables", "-t", "nat", "-F")
	run(t, "ip6tables", "-t", "nat", "-F")
	if err := p.host.Ensure(ctx, network.NewHostPlan(p.table)); err != nil {
		t.Fatal(err)
	}
	if err := p.host.Publish(ctx, []network.Published{published}); err != nil {
		t.Fatal(err)
	}
	check(true)

	if err := p.host.Unpublish(ctx, p.plans[0]); err != nil {
		t.Fatal(err)
	}
	check(false)
	strip := func(s string) string {
		var b strings.Builder
		for line := range strings.Lines(s) {
			if strings.HasPrefix(line, "-A") {
				b.WriteString(line)
			}
		}
		return b.String()
	}
	if diff := cmp.Diff(strip(rulesBefore), strip(run(t, "iptables-save")+run(t, "ip6tables-save"))); diff != "" {
		t.Error(diff)
	}
	for key, want := range map[string]string{"net/ipv4/conf/" + p.table.Bridge + "/route_localnet": "0"} {
		if got, err := readSysctl(key); err != nil || got != want {
			t.Errorf("%s is %s, %v", key, got, err)
		}
	}
	if got := run(t, "ip", "-6", "route", "show", "table", "local"); strings.Contains(got, "local ::1 dev "+p.table.Bridge) {
		t.Errorf("left behind: %s", got)
	}
}

// Nobody gets at what listens on the host's loopback address, published ports
// or not; and a VPS that is not plugged in has nothing.
func TestPublishedPortsOpenNothingElse(t *testing.T) {
	p := newPair(t)
	out := outside(t)
	ctx := context.Background()
	l, err := net.Listen("tcp", "127.0.0.1:7777")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	published := network.Published{Plan: p.plans[0], Ports: []vps.Publication{{Protocol: "tcp", Host: "127.0.0.1", Ports: "8080", To: "80"}}}
	tell(t, p.pids[0], "alice", "80")
	if err := p.host.Publish(ctx, []network.Published{published}); err != nil {
		t.Fatal(err)
	}
	if on, err := readSysctl("net/ipv4/conf/" + p.table.Bridge + "/route_localnet"); err != nil || on != "1" {
		t.Fatalf("route_localnet is %s, %v", on, err)
	}
	for who, c := range map[string]struct {
		pid int
		via string
	}{"a VPS": {p.pids[1], p.table.Gateway4().String()}, "outside": {out, "192.0.2.1"}} {
		inVPS(t, c.pid, func() error {
			for _, line := range []string{
				"ip rule add pref 0 to 127.0.0.0/8 lookup 77", "ip rule del pref 0 lookup local", "ip rule add pref 1 lookup local",
				"ip route add 127.0.0.0/8 via " + c.via + " dev eth0 table 77",
			} {
				f := strings.Fields(line)
				if _, err := command(f[0], f[1:]...); err != nil {
					return err
				}
			}
			if _, err := setSysctl(network.Sysctl{Key: "net/ipv4/conf/eth0/route_localnet", Value: "1"}); err != nil {
				return err
			}
			for _, port := range []string{"7777", "8080"} {
				if c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, 500*time.Millisecond); err == nil {
					c.Close()
					t.Errorf("%s reaches 127.0.0.1:%s of the host", who, port)
				}
			}
			return nil
		})
	}
	if dropped, err := p.host.Dropped(p.plans[1]); err != nil || dropped[network.ReasonLoopback] == 0 {
		t.Errorf("counted: %v, %v", dropped, err)
	}
	if err := p.host.CheckPorts([]vps.Publication{{Protocol: "tcp", Ports: "7000-8000", To: "7000-8000"}}); !fail.Is(err, fail.Taken) ||
		!strings.Contains(err.Error(), fmt.Sprintf("%s (pid %d) listens on 127.0.0.1:7777/tcp", filepath.Base(os.Args[0]), os.Getpid())) {
		t.Errorf("%v", err)
	}
	if err := p.host.CheckPorts([]vps.Publication{{Protocol: "udp", Ports: "7777", To: "7"}, {Protocol: "tcp", Host: "192.0.2.1", Ports: "7777", To: "7"}}); err != nil {
		t.Error(err)
	}
	if err := p.host.Unplug(ctx, p.plans[0]); err != nil {
		t.Fatal(err)
	}
	if err := p.host.Publish(ctx, []network.Published{published}); err != nil {
		t.Fatal(err)
	}
	if rules := run(t, "iptables-save"); strings.Contains(rules, "croft0:alice") {
		t.Errorf("it is not plugged in, and there is %s", rules)
	}
}

// A UDP client that goes on asking gets who has the port now, each time that
// changes.
func TestPublishedUDPFollows(t *testing.T) {
	p := newPair(t)
	out := outside(t)
	ctx := context.Background()
	tell(t, p.pids[0], "alice", "53")
	tell(t, p.pids[1], "bob", "53")
	port := []vps.Publication{{Protocol: "udp", Ports: "53", To: "53"}}
	var c net.Conn
	inVPS(t, out, func() (err error) {
		c, err = net.Dial("udp", "192.0.2.1:53") // one source port for all of it
		return err
	})
	defer c.Close()
	ask := func() (string, error) {
		answer := make([]byte, 99)
		if _, err := c.Write([]byte("?")); err != nil {
			return "", err
		}
		if err := c.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			return "", err
		}
		n, err := c.Read(answer)
		return string(answer[:n]), err
	}
	for range 2 {
		eventuallySays(t, "no socket has it", "", ask)
		for i, name := range []string{"alice", "bob"} {
			if err := p.host.Publish(ctx, []network.Published{{Plan: p.plans[1-i]}, {Plan: p.plans[i], Ports: port}}); err != nil {
				t.Fatal(err)
			}
			eventuallySays(t, "it is "+name+"'s", name+" 192.0.2.2", ask)
		}
		if err := p.host.Unpublish(ctx, p.plans[1]); err != nil {
			t.Fatal(err)
		}
	}
}
