package host

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/vps"
	"croft/network"
)

// tracked is how many connections the host of the test tracks.
func tracked(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/thread-self/net/stat/nf_conntrack")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(strings.Split(string(data), "\n")[1])
	n, err := strconv.ParseUint(fields[0], 16, 32) // entries
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// limited is a pair of which alice may have few connections, and bob as many
// as he likes.
func limited(t *testing.T, table network.Table, limit int64) *pair {
	t.Helper()
	p := newPairIn(t, newHost(t), table)
	for i, n := range []int64{limit, vps.UnlimitedConnections} {
		p.plans[i].Connections, p.table.Claims[i].Connections = n, n
		if err := p.host.SetConnections(context.Background(), []network.Plan{p.plans[i]}); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// accept holds whatever connects to bob.
func accept(t *testing.T, pid int) (port int) {
	t.Helper()
	var l net.Listener
	inVPS(t, pid, func() (err error) {
		l, err = net.Listen("tcp", ":0")
		return err
	})
	var mu sync.Mutex
	var held []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			held = append(held, c)
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for _, c := range held {
			c.Close()
		}
	})
	return l.Addr().(*net.TCPAddr).Port
}

// dial tries n connections at once and returns those that came about. It waits
// for at least so many.
func dial(t *testing.T, pid, n, least int, to netip.AddrPort) []int {
	t.Helper()
	var open []int
	inVPS(t, pid, func() error {
		domain := unix.AF_INET
		var addr unix.Sockaddr = &unix.SockaddrInet4{Port: int(to.Port()), Addr: [4]byte(to.Addr().AsSlice()[:4])}
		if to.Addr().Is6() {
			domain, addr = unix.AF_INET6, &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
		}
		var fds []unix.PollFd
		for range n {
			fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			if err := unix.Connect(fd, addr); err != nil && err != unix.EINPROGRESS {
				return err
			}
			fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT})
		}
		// Until some have come about and no other one does. What is dropped gives
		// no answer, so that has to be taken from the silence.
		some, since := 0, time.Now()
		for deadline := since.Add(20 * time.Second); time.Now().Before(deadline); {
			if _, err := unix.Poll(fds, 100); err != nil && err != unix.EINTR {
				return err
			}
			now := 0
			for _, f := range fds {
				if f.Revents != 0 {
					now++
				}
			}
			if now > some {
				some, since = now, time.Now()
			}
			if some == len(fds) || some >= least && time.Since(since) > time.Second {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		for _, f := range fds {
			e, _ := unix.GetsockoptInt(int(f.Fd), unix.SOL_SOCKET, unix.SO_ERROR)
			if f.Revents&unix.POLLOUT != 0 && e == 0 {
				open = append(open, int(f.Fd))
			} else {
				unix.Close(int(f.Fd))
			}
		}
		return nil
	})
	return open
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// A VPS gets no more connections than its bound, whoever begins them, and
// closing them gives no new ones at once: a closed connection keeps its place.
func TestOneVPSDoesNotFillTheConnectionTable(t *testing.T) {
	const limit = 40
	routed := network.Table{Schema: network.Schema, Name: "routed", Mode: network.ModeRouted, MAC: network.GatewayMAC(), Claims: []network.Claim{},
		IPv4: netip.MustParsePrefix("10.99.0.0/24"), IPv6: netip.MustParsePrefix("fd99::/64")}
	for name, table := range map[string]network.Table{"bridge": network.Default(network.Seed{}), "routed": routed} {
		for _, six := range []bool{false, true} {
			for _, direction := range []struct {
				name     string
				from, to int
			}{{"from it", 0, 1}, {"to it", 1, 0}} {
				t.Run(name+map[bool]string{false: " IPv4 ", true: " IPv6 "}[six]+direction.name, func(t *testing.T) {
					p := limited(t, table, limit)
					port := accept(t, p.pids[direction.to])
					to := netip.AddrPortFrom(p.addr(direction.to, six), uint16(port))
					open := dial(t, p.pids[direction.from], 3*limit, 1, to)
					if len(open) == 0 || len(open) > limit {
						t.Errorf("%d connections, the bound is %d", len(open), limit)
					}
					// Neighbour discovery is not tracked; a few places are the tests' own.
					if n := tracked(t); n > limit+5 {
						t.Errorf("the host tracks %d connections", n)
					}
					closeAll(open)
					again := dial(t, p.pids[direction.from], 3*limit, 0, to)
					closeAll(again)
					if n := tracked(t); n > 2*limit {
						t.Errorf("after closing and trying again the host tracks %d connections", n)
					}
					dropped, err := p.host.Dropped(p.plans[0])
					if err != nil || dropped[network.ReasonConnections] == 0 {
						t.Errorf("no refusal is counted: %v, %v", dropped, err)
					}
					if dropped, err := p.host.Dropped(p.plans[1]); err != nil || len(dropped) > 0 {
						t.Errorf("the other VPS: %v, %v", dropped, err)
					}
				})
			}
		}
	}
}

// The bound can be changed while a VPS runs, comes back when it was flushed,
// and leaves nothing.
func TestConnectionBoundsComeAndGo(t *testing.T) {
	p := limited(t, network.Default(network.Seed{}), 50)
	ctx := context.Background()
	list := func() string { return run(t, "nft", "list", "table", "inet", network.FilterTable) }
	if s := list(); !strings.Contains(s, "ct count over 50") || strings.Contains(s, "goto "+network.ConnectionChain(p.plans[1].HostLink)) {
		t.Errorf("a bound of 50, and none: %s", s)
	}
	p.plans[0].Connections = 60
	p.table.Claims[0].Connections = 60
	if err := p.host.SetConnections(ctx, p.plans[:1]); err != nil {
		t.Fatal(err)
	}
	if s := list(); !strings.Contains(s, "ct count over 60") || strings.Contains(s, "over 50") {
		t.Errorf("a bound of 60: %s", s)
	}
	before := everything(t)
	run(t, "nft", "delete", "table", "inet", network.FilterTable)
	p.ensure(t)
	if after := everything(t); after != before {
		t.Errorf("before it was flushed:\n%s\nafter:\n%s", before, after)
	}
	for i := range p.plans {
		if err := p.host.Unplug(ctx, p.plans[i]); err != nil {
			t.Fatal(err)
		}
	}
	if s := list(); strings.Contains(s, "connections-") {
		t.Errorf("after both are gone: %s", s)
	}
	p.table.Claims = nil
	if err := p.host.Remove(ctx, network.NewHostPlan(p.table)); err != nil {
		t.Fatal(err)
	}
	if s := run(t, "nft", "list", "tables"); strings.Contains(s, "croft") {
		t.Errorf("after the network is gone: %s", s)
	}
}
