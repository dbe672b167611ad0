package host

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"croft/integration/attack"
	"croft/internal/fail"
	"croft/network"
)

// everything is what the network namespace holds, without counts, clocks and
// numbers that only say how often something was made.
func everything(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, c := range [][]string{
		{"ip", "-d", "link"}, {"ip", "addr"}, {"ip", "route"}, {"ip", "-6", "route"}, {"bridge", "fdb"},
		{"ip", "neigh", "show", "nud", "all"}, {"ip", "neigh", "show", "proxy"}, {"ip", "-6", "neigh", "show", "proxy"},
		{"nft", "list", "tables"}, {"iptables-save"}, {"ip6tables-save"},
		{"tc", "qdisc"},
	} {
		lines := strings.SplitAfter(run(t, c[0], c[1:]...), "\n")
		if c[0] == "nft" || strings.Contains(strings.Join(c, " "), "neigh") || c[0] == "bridge" {
			slices.Sort(lines) // their order says when they were made
		}
		b.WriteString("$ " + strings.Join(c, " ") + "\n" + strings.Join(lines, ""))
	}
	if strings.Contains(b.String(), "table bridge "+network.FilterTable) {
		b.WriteString(run(t, "nft", "list", "table", "bridge", network.FilterTable))
		b.WriteString(run(t, "nft", "list", "table", "inet", network.FilterTable))
	}
	text := b.String()
	for _, changing := range []string{`(?m)^# .*\n`, `_timer +[0-9.]+`, `packets \d+ bytes \d+`, `\[\d+:\d+\]`, `link-netnsid \d+`, `(?m)^\d+: `, `@if\d+`,
		`valid_lft \S+ preferred_lft \S+`, ` state \S+`, `(?m)^(fe80|ff\S+|multicast).*\n`, `(?m)^.*NOARP *\n`,
		`(?m)^33:33\S+ dev \S+ self permanent *\n`, `(?m)^ *inet6 fe80::.*\n.*\n`, `tso_max_size \d+`, `(?m)^.*"cr-\S+" counter.*\n`, `<[A-Z,_-]+>`, ` linkdown`, ` (tentative|proto kernel_ll)`} {
		text = regexp.MustCompile(changing).ReplaceAllString(text, "")
	}
	return text
}

func TestEnsureTwiceChangesNothing(t *testing.T) {
	p := newPair(t)
	handles := run(t, "nft", "-a", "list", "ruleset")
	before := everything(t)
	p.ensure(t)
	if diff := cmp.Diff(before, everything(t)); diff != "" {
		t.Error(diff)
	}
	strip := regexp.MustCompile(`packets \d+ bytes \d+`)
	if diff := cmp.Diff(strip.ReplaceAllString(handles, ""), strip.ReplaceAllString(run(t, "nft", "-a", "list", "ruleset"), "")); diff != "" {
		t.Errorf("something was made again:\n%s", diff)
	}
}

func (p *pair) ensure(t *testing.T) {
	t.Helper()
	if err := p.host.Ensure(context.Background(), network.NewHostPlan(p.table)); err != nil {
		t.Fatal(err)
	}
}

// TestEnsureRepairs breaks one thing after the other, as other tools do.
func TestEnsureRepairs(t *testing.T) {
	p := newPair(t)
	p.mark(t)
	before := everything(t)
	for _, damage := range []string{
		"nft flush ruleset",
		"nft flush table bridge croft",
		"nft flush set bridge croft macs",
		"nft flush set bridge croft addresses6",
		"nft delete table bridge croft",
		"nft flush chain bridge croft check-ip4",
		"nft insert rule bridge croft check-from accept",
		"iptables -F",
		"iptables -t nat -F",
		"iptables -D FORWARD -j CROFT-FORWARD",
		"iptables -A FORWARD -j CROFT-FORWARD",
		"iptables -F CROFT-FORWARD",
		"iptables -D CROFT-FORWARD 2",
		"ip6tables -F",
		"ip6tables -t nat -F CROFT-POSTROUTING",
		"ip -4 neigh flush dev croft0 nud permanent",
		"ip -6 neigh flush dev croft0 nud permanent",
		"ip -6 neigh del proxy fd00:1:2::2 dev croft0",
		"ip addr flush dev croft0 scope global",
		"ip link set croft0 down",
		"tc qdisc del dev croft0 clsact",
		"ip link set croft0 address c2:00:00:00:00:77",
		"sysctl -q net.ipv4.conf.croft0.proxy_arp_pvlan=0",
		"sysctl -q net.ipv4.ip_forward=0",
		"sysctl -q net.ipv6.conf.all.forwarding=0",
	} {
		words := strings.Fields(strings.Replace(damage, "fd00:1:2::2", p.addr(0, true).String(), 1))
		p.ensure(t) // it notes that all rules are right
		run(t, words[0], words[1:]...)
		p.ensure(t)
		if diff := cmp.Diff(before, everything(t)); diff != "" {
			t.Fatalf("after %q:\n%s", damage, diff)
		}
		p.mark(t)
	}
	at := p.attacks()[1]
	p.send(t, 0, at.Frames...)
	p.waitDropped(t, at, uint64(len(at.Frames)))
}

func TestUnplugLeavesNothing(t *testing.T) {
	h := newHost(t)
	table := network.Default(network.Seed{})
	ctx := context.Background()
	plan, err := network.NewPlan(table, mustClaim(t, &table, "web"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Ensure(ctx, network.NewHostPlan(table)); err != nil {
		t.Fatal(err)
	}
	empty := everything(t)
	pid := newVPS(t)
	for range 2 { // plugging again sweeps the first
		if err := h.Plug(ctx, plan, initOf(pid)); err != nil {
			t.Fatal(err)
		}
	}
	inVPS(t, pid, func() error {
		return attack.Send("eth0", attack.Ether(attack.BroadcastMAC, attack.ForeignMAC, 0x0800, make([]byte, 40)))
	})
	if d, err := h.Dropped(plan); err != nil || d[network.ReasonMAC] != 1 {
		t.Fatalf("dropped %v, %v", d, err)
	}
	for range 2 {
		if err := h.Unplug(ctx, plan); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(empty, everything(t)); diff != "" {
			t.Fatal(diff)
		}
	}
	if d, err := h.Dropped(plan); err != nil || len(d) != 0 {
		t.Fatalf("counts stay: %v, %v", d, err)
	}
}

func TestRemoveLeavesNothing(t *testing.T) {
	h := newHost(t)
	ctx := context.Background()
	// What iptables itself leaves when it is used for the first time.
	for _, tool := range []string{"iptables", "ip6tables"} {
		run(t, tool, "-t", "nat", "-A", "POSTROUTING", "-s", "::1/128,127.0.0.1/32"[map[string]int{"iptables": 8, "ip6tables": 0}[tool]:map[string]int{"iptables": 20, "ip6tables": 7}[tool]], "-j", "ACCEPT")
		run(t, tool, "-A", "FORWARD", "-j", "ACCEPT")
	}
	before := everything(t)
	one, two := network.Default(network.Seed{Name: "one"}), network.Default(network.Seed{Name: "two", Avoid: []netip.Prefix{netip.MustParsePrefix("10.90.0.0/16")}})
	plan, err := network.NewPlan(one, mustClaim(t, &one, "web"))
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []network.Table{one, two} {
		if err := h.Ensure(ctx, network.NewHostPlan(table)); err != nil {
			t.Fatal(err)
		}
	}
	both := everything(t)
	if err := h.Plug(ctx, plan, initOf(newVPS(t))); err != nil {
		t.Fatal(err)
	}
	if err := h.Remove(ctx, network.NewHostPlan(one)); err != nil {
		t.Fatal(err)
	}
	if err := h.Ensure(ctx, network.NewHostPlan(one)); err != nil {
		t.Fatal(err)
	}
	if a, b := strings.Count(both, "\n"), strings.Count(everything(t), "\n"); a != b {
		t.Fatalf("made again it has %d lines for %d:\n%s", b, a, cmp.Diff(both, everything(t)))
	}
	for range 2 {
		for _, table := range []network.Table{one, two} {
			if err := h.Remove(ctx, network.NewHostPlan(table)); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(before, everything(t)); diff != "" {
			t.Fatal(diff)
		}
	}
}

// TestNetworksDoNotMeet has one VPS in each of two networks.
func TestNetworksDoNotMeet(t *testing.T) {
	h := newHost(t)
	ctx := context.Background()
	var pids [2]int
	var plans [2]network.Plan
	for i, seed := range []network.Seed{{Name: "one"}, {Name: "two", Avoid: []netip.Prefix{netip.MustParsePrefix("10.90.0.0/16")}}} {
		table := network.Default(seed)
		var err error
		if plans[i], err = network.NewPlan(table, mustClaim(t, &table, "web")); err != nil {
			t.Fatal(err)
		}
		if err := h.Ensure(ctx, network.NewHostPlan(table)); err != nil {
			t.Fatal(err)
		}
		pids[i] = newVPS(t)
		if err := h.Plug(ctx, plans[i], initOf(pids[i])); err != nil {
			t.Fatal(err)
		}
	}
	for i := range pids {
		for n, a := range plans[1-i].Addresses {
			inVPS(t, pids[i], func() error {
				if err := ping(plans[i].Gateways[n]); err != nil {
					return err
				}
				if reached(a.Addr()) {
					return fmt.Errorf("%s is reached from %s", a, plans[i].Network)
				}
				return nil
			})
		}
	}
}

// TestOutside puts a router behind the host: what leaves has the host's
// address, what comes unasked does not come in, and the router's
// advertisements still count for the host.
func TestOutside(t *testing.T) {
	h := newHost(t)
	ctx := context.Background()
	router := newVPS(t)
	run(t, "ip", "link", "add", "wan0", "type", "veth", "peer", "name", "lan0", "netns", fmt.Sprint(router))
	run(t, "sysctl", "-q", "net.ipv6.conf.wan0.accept_ra=1", "net.ipv6.conf.default.accept_ra=1")
	script := func(lines ...string) func() error {
		return func() error {
			for _, l := range lines {
				f := strings.Fields(l)
				if _, err := command(f[0], f[1:]...); err != nil {
					return err
				}
			}
			return nil
		}
	}
	inVPS(t, router, script("ip addr add 192.0.2.1/24 dev lan0", "ip addr add 2001:db8::1/64 dev lan0 nodad", "ip link set lan0 up"))
	if err := script("ip addr add 192.0.2.2/24 dev wan0", "ip addr add 2001:db8::2/64 dev wan0 nodad", "ip link set wan0 up")(); err != nil {
		t.Fatal(err)
	}
	seed, err := h.Seed("")
	if err != nil {
		t.Fatal(err)
	}
	table := network.Default(seed)
	plan, err := network.NewPlan(table, mustClaim(t, &table, "web"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Ensure(ctx, network.NewHostPlan(table)); err != nil {
		t.Fatal(err)
	}
	pid := newVPS(t)
	if err := h.Plug(ctx, plan, initOf(pid)); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"192.0.2.1", "2001:db8::1"} { // the router knows no way back to the VPS
		inVPS(t, pid, func() error { return ping(netip.MustParseAddr(to)) })
	}
	inVPS(t, router, script("ip route add 10.90.0.0/16 via 192.0.2.2", "ip -6 route add "+table.IPv6.String()+" via 2001:db8::2"))
	inVPS(t, router, func() error {
		for _, a := range plan.Addresses {
			if reached(a.Addr()) {
				return fmt.Errorf("%s is reached from outside", a)
			}
		}
		return nil
	})
	for _, key := range []string{"wan0", "default"} {
		if got, err := readSysctl("net/ipv6/conf/" + key + "/accept_ra"); err != nil || got != "2" {
			t.Errorf("accept_ra of %s is %s, %v", key, got, err)
		}
	}
	if got, _ := readSysctl("net/ipv6/conf/" + table.Bridge + "/accept_ra"); got != "0" {
		t.Errorf("accept_ra of the bridge is %s", got)
	}
}

func TestWhoseLinkItIs(t *testing.T) {
	h := newHost(t)
	ctx := context.Background()
	table := network.Default(network.Seed{})
	plan, err := network.NewPlan(table, mustClaim(t, &table, "web"))
	if err != nil {
		t.Fatal(err)
	}
	pid := newVPS(t)
	if err := h.Plug(ctx, plan, initOf(pid)); !fail.Is(err, fail.State) {
		t.Fatalf("plugged into nothing: %v", err)
	}
	run(t, "ip", "link", "add", table.Bridge, "type", "veth", "peer", "name", "x")
	if err := h.Ensure(ctx, network.NewHostPlan(table)); !fail.Is(err, fail.Taken) {
		t.Fatalf("a veth was taken for a bridge: %v", err)
	}
	run(t, "ip", "link", "del", table.Bridge)
	if err := h.Ensure(ctx, network.NewHostPlan(table)); err != nil {
		t.Fatal(err)
	}
	run(t, "ip", "link", "add", plan.HostLink, "type", "bridge")
	run(t, "ip", "link", "set", plan.HostLink, "alias", "croft other db eth0")
	if err := h.Plug(ctx, plan, initOf(pid)); !fail.Is(err, fail.Taken) {
		t.Fatalf("another's link was swept: %v", err)
	}
	run(t, "ip", "link", "del", plan.HostLink)
	run(t, "ip", "link", "add", plan.HostLink, "type", "bridge") // who made it was killed at once
	if err := h.Plug(ctx, plan, initOf(pid)); err != nil {
		t.Fatal(err)
	}
	if err := h.Plug(ctx, plan, initOf(os.Getpid()+1<<22)); err == nil {
		t.Fatal("plugged into a process that is not there")
	}
	self := unix.Gettid()
	if err := h.Plug(ctx, plan, initOf(self)); err == nil {
		t.Fatal("plugged into the host itself")
	}
	other := network.Default(network.Seed{Name: "other", Bridge: table.Bridge})
	if err := h.Ensure(ctx, network.NewHostPlan(other)); !fail.Is(err, fail.Taken) {
		t.Fatalf("another network's bridge was taken: %v", err)
	}
}

// TestPlugUndoes: the name inside is taken, so that the middle of Plug fails.
func TestPlugUndoes(t *testing.T) {
	h := newHost(t)
	ctx := context.Background()
	table := network.Default(network.Seed{})
	plan, err := network.NewPlan(table, mustClaim(t, &table, "web"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Ensure(ctx, network.NewHostPlan(table)); err != nil {
		t.Fatal(err)
	}
	empty := everything(t)
	pid := newVPS(t)
	inVPS(t, pid, func() error {
		_, err := command("ip", "link", "add", "eth0", "type", "bridge")
		return err
	})
	if err := h.Plug(ctx, plan, initOf(pid)); err == nil {
		t.Fatal("plugged over a link that was there")
	}
	if diff := cmp.Diff(empty, everything(t)); diff != "" {
		t.Fatal(diff)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := h.Plug(canceled, plan, initOf(pid)); err == nil {
		t.Fatal("plugged although canceled")
	}
	if diff := cmp.Diff(empty, everything(t)); diff != "" {
		t.Fatal(diff)
	}
}

func TestMissingTool(t *testing.T) {
	h := newHost(t)
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
	}
	err := h.Ensure(context.Background(), network.NewHostPlan(network.Default(network.Seed{})))
	if !fail.Is(err, fail.Host) || !strings.Contains(err.Error(), "iptables") || fail.HintOf(err) == "" {
		t.Fatalf("%v (%s)", err, fail.HintOf(err))
	}
}

// TestManyAtOnce ensures and plugs from many threads, as many starts do.
func TestManyAtOnce(t *testing.T) {
	h := newHost(t)
	home := filepath.Join("/proc/self/task", fmt.Sprint(unix.Gettid()), "ns/net")
	ns, err := os.Open(home)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	table := network.Default(network.Seed{})
	const n = 12
	var plans [n]network.Plan
	var pids [n]int
	for i := range n {
		c := mustClaim(t, &table, fmt.Sprint("web", i))
		if plans[i], err = network.NewPlan(table, c); err != nil {
			t.Fatal(err)
		}
		pids[i] = newVPS(t)
	}
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for i := range n {
		wg.Go(func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			errs <- func() error {
				if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
					return err
				}
				other, err := NewHost(nil)
				if err != nil {
					return err
				}
				defer other.Close()
				other.LockFile = h.LockFile
				if err := other.Ensure(context.Background(), network.NewHostPlan(table)); err != nil {
					return err
				}
				return other.Plug(context.Background(), plans[i], initOf(pids[i]))
			}()
		})
	}
	wg.Wait()
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	for i := range n {
		inVPS(t, pids[i], func() error { return ping(plans[(i+1)%n].Addresses[0].Addr()) })
	}
	for _, save := range []string{"iptables-save", "ip6tables-save"} {
		if got := strings.Count(run(t, save), "-A FORWARD -j CROFT-FORWARD"); got != 1 {
			t.Errorf("%s: %d jumps", save, got)
		}
	}
}

// TestRandomWalk plugs, unplugs, kills and repairs in any order.
func TestRandomWalk(t *testing.T) {
	h := newHost(t)
	ctx := context.Background()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	table := network.Default(network.Seed{})
	const n = 4
	var plans [n]network.Plan
	pids := [n]int{}
	var err error
	for i := range n {
		if plans[i], err = network.NewPlan(table, mustClaim(t, &table, fmt.Sprint("v", i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Ensure(ctx, network.NewHostPlan(table)); err != nil {
		t.Fatal(err)
	}
	empty := everything(t)
	for range 60 {
		i := random.IntN(n)
		switch random.IntN(6) {
		case 0, 1, 2:
			pids[i] = newVPS(t)
			err = h.Plug(ctx, plans[i], initOf(pids[i]))
		case 3:
			err, pids[i] = h.Unplug(ctx, plans[i]), 0
		case 4:
			run(t, "nft", "flush", "ruleset")
			err = h.Ensure(ctx, network.NewHostPlan(table))
		case 5:
			err = h.Ensure(ctx, network.NewHostPlan(table))
		}
		if err != nil {
			t.Fatal(err)
		}
		for k, pid := range pids {
			if pid != 0 {
				inVPS(t, pid, func() error { return ping(plans[k].Gateways[0]) })
			}
		}
	}
	for i := range n {
		if err := h.Unplug(ctx, plans[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Ensure(ctx, network.NewHostPlan(table)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(empty, everything(t)); diff != "" {
		t.Fatal(diff)
	}
}

// shape is everything without its order, and without what the kernel numbers
// in the order in which things are made, or chooses.
func (p *pair) shape(t *testing.T) string {
	t.Helper()
	text := regexp.MustCompile(`port_(id|no) \S+|designated_port \S+`).ReplaceAllString(everything(t), "")
	own := []string{p.table.MAC, p.plans[0].MAC.String(), p.plans[1].MAC.String(), "ff:ff:ff:ff:ff:ff"}
	text = regexp.MustCompile(`\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b`).ReplaceAllStringFunc(text, func(mac string) string {
		if slices.Contains(own, mac) {
			return mac
		}
		return "KERNELS-CHOICE"
	})
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// The next start brings back a bridge that was removed, with its ports.
func TestEnsureBringsBackABridge(t *testing.T) {
	p := newPair(t)
	p.mark(t)
	before := p.shape(t)
	for _, damage := range []string{
		"ip link del croft0",
		"ip link set " + p.plans[0].HostLink + " nomaster",
		"ip addr flush dev croft0",
	} {
		words := strings.Fields(damage)
		run(t, words[0], words[1:]...)
		p.ensure(t)
		if diff := cmp.Diff(before, p.shape(t)); diff != "" {
			t.Fatalf("after %q:\n%s", damage, diff)
		}
		inVPS(t, p.pids[0], func() error { return ping(p.addr(1, false)) })
		inVPS(t, p.pids[1], func() error { return ping(p.addr(0, true)) })
	}
}

// A repair makes the interface of a running VPS anew if it is gone, and brings
// up a link that is down.
func TestReplug(t *testing.T) {
	p := newPair(t)
	p.mark(t)
	before, ctx := p.shape(t), context.Background()
	for damage, want := range map[string]bool{
		"ip link del " + p.plans[0].HostLink:                    true,
		"ip link set " + p.plans[0].HostLink + " down":          false,
		"ip link set " + p.plans[0].HostLink + " mtu " + "1400": false, // the administrator's own affair
	} {
		words := strings.Fields(damage)
		run(t, words[0], words[1:]...)
		made, err := p.host.Replug(ctx, p.plans[0], initOf(p.pids[0]))
		if err != nil || made != want {
			t.Fatalf("after %q: %v, %v", damage, made, err)
		}
		inVPS(t, p.pids[0], func() error { return ping(p.addr(1, false)) })
		inVPS(t, p.pids[0], func() error { return ping(p.addr(1, true)) })
		run(t, "ip", "link", "set", p.plans[0].HostLink, "mtu", "1500")
		p.mark(t)
		if diff := cmp.Diff(before, p.shape(t)); diff != "" {
			t.Fatalf("after %q:\n%s", damage, diff)
		}
	}
}
