package host

import (
	"context"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"croft/internal/vps"
	"croft/network"
)

// transfer sends bulk from one VPS of p to the other, by TCP, and returns how
// long it took until all of it was there.
func (p *pair) transfer(t *testing.T, from, to int, six bool) time.Duration {
	t.Helper()
	var l net.Listener
	inVPS(t, p.pids[to], func() (err error) {
		l, err = net.Listen("tcp", net.JoinHostPort(p.addr(to, six).String(), "0"))
		return err
	})
	defer l.Close()
	start := time.Now()
	sent := make(chan error, 1)
	go func() {
		sent <- enter(p.pids[from], func() error {
			c, err := net.DialTimeout("tcp", l.Addr().String(), 10*time.Second)
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write(make([]byte, bulk))
			return err
		})
	}()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(start.Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, c); err != nil || n != bulk {
		t.Fatalf("%d bytes came: %v", n, err)
	}
	took := time.Since(start)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	return took
}

// within fails if more has come than the rate lets through in that time. A
// busy machine makes it less, never more.
func (p *pair) within(t *testing.T, what string, rate uint64, took time.Duration) {
	t.Helper()
	most := float64(network.NewShaper(rate, 0).Burst) + float64(rate)/8*took.Seconds()
	if bulk > most {
		t.Errorf("%s: %d bytes in %v, and %.0f at most with %d bit/s", what, bulk, took, most, rate)
	}
}

// What a VPS gets and what it sends keep to its rates, from other VPSs too,
// whatever root inside does.
func TestRates(t *testing.T) {
	p := newPair(t)
	ctx := context.Background()
	before, filters := everything(t), p.filters(t)
	set := func(i int, r vps.Rate) {
		t.Helper()
		p.plans[i].Rate = r
		for range 2 {
			if err := p.host.SetRates(ctx, p.plans[:]); err != nil {
				t.Fatal(err)
			}
		}
	}
	const slow = 16_000_000
	set(1, vps.Rate{In: slow})
	p.within(t, "to bob", slow, p.transfer(t, 0, 1, false))
	p.within(t, "to bob by IPv6", slow, p.transfer(t, 0, 1, true))
	set(1, vps.Rate{Out: slow})
	p.within(t, "from bob", slow, p.transfer(t, 1, 0, false))
	p.within(t, "from bob by IPv6", slow, p.transfer(t, 1, 0, true))
	inVPS(t, p.pids[1], func() error {
		_, _ = command("tc", "qdisc", "del", "dev", "eth0", "root") // it has none
		_, err := command("tc", "qdisc", "add", "dev", "eth0", "clsact")
		return err
	})
	p.within(t, "from bob, who meddles", slow, p.transfer(t, 1, 0, false))

	set(1, vps.Rate{In: slow, Out: 2 * slow})
	p.within(t, "to bob, both set", slow, p.transfer(t, 0, 1, false))
	p.within(t, "from bob, both set", 2*slow, p.transfer(t, 1, 0, false))
	if dropped, err := p.host.Dropped(p.plans[1]); err != nil || len(dropped) > 0 {
		t.Errorf("the filters dropped honest traffic: %v, %v", dropped, err)
	}

	// What somebody else changes is put back, and nothing else is.
	mac := regexp.MustCompile(`link/ether \S+`) // of the shaper link: the kernel makes it up
	look := func() string { return mac.ReplaceAllString(everything(t)+p.filters(t), "") }
	limited := look()
	for _, damage := range []string{
		"tc qdisc del dev HOST root", "tc qdisc change dev HOST root handle c0: tbf rate 1gbit burst 1mb limit 10mb",
		"tc filter del dev HOST ingress", "tc qdisc del dev HOST clsact", "ip link del IFB", "ip link set IFB down",
		"tc qdisc replace dev IFB root pfifo limit 10",
	} {
		words := strings.Fields(strings.NewReplacer("HOST", p.plans[1].HostLink, "IFB", p.plans[1].ShaperLink()).Replace(damage))
		run(t, words[0], words[1:]...)
		set(1, p.plans[1].Rate)
		if diff := cmp.Diff(limited, look()); diff != "" {
			t.Errorf("after %s: %s", damage, diff)
		}
	}
	p.within(t, "from bob, after all that", 2*slow, p.transfer(t, 1, 0, false))

	set(1, vps.Rate{})
	if diff := cmp.Diff(before, everything(t)); diff != "" {
		t.Errorf("without limits again: %s", diff)
	}
	if diff := cmp.Diff(filters, p.filters(t)); diff != "" {
		t.Errorf("without limits again: %s", diff)
	}
	for i := range 2 {
		inVPS(t, p.pids[i], func() error { return ping(p.addr(1-i, false)) })
	}
}

// filters are those of bob's host link, without their counts.
func (p *pair) filters(t *testing.T) string {
	t.Helper()
	text := run(t, "tc", "filter", "show", "dev", p.plans[1].HostLink, "ingress")
	return regexp.MustCompile(`(index|ref|bind|fh|ht|key|bkt|order|chain|dev|id) \S+`).ReplaceAllString(text, "")
}

// bulk is what the tests send: at the rates they set, some tenths of a second.
const bulk = 1 << 20

// Rates are there when the link is, and go with it.
func TestRatesOfAPlug(t *testing.T) {
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
	plan.Rate = vps.Rate{In: 1_000_000, Out: 2_000_000}
	pid := newVPS(t)
	for range 2 { // over itself
		if err := h.Plug(ctx, plan, initOf(pid)); err != nil {
			t.Fatal(err)
		}
		inVPS(t, pid, func() error {
			_, err := command("ip", "link", "del", "eth0")
			return err
		})
		if strings.Contains(run(t, "ip", "link"), plan.HostLink) {
			t.Fatal("the pair is still there")
		}
	}
	if err := h.SetRates(ctx, []network.Plan{plan}); err != nil {
		t.Errorf("a link that is not there: %v", err)
	}
	if err := h.Plug(ctx, plan, initOf(pid)); err != nil {
		t.Fatal(err)
	}
	plugged := everything(t)
	if err := h.SetRates(ctx, []network.Plan{plan}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plugged, everything(t)); diff != "" {
		t.Errorf("what is right was changed: %s", diff)
	}
	for _, want := range []string{"dev " + plan.HostLink + " root", "dev " + plan.ShaperLink() + " root"} {
		if !strings.Contains(plugged, want) {
			t.Errorf("no %q in\n%s", want, plugged)
		}
	}
	if err := h.Unplug(ctx, plan); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(empty, everything(t)); diff != "" {
		t.Errorf("left: %s", diff)
	}

	// A link of that name which is somebody else's stays.
	run(t, "ip", "link", "add", plan.ShaperLink(), "type", "bridge")
	if err := h.Plug(ctx, plan, initOf(pid)); err == nil || !strings.Contains(err.Error(), plan.ShaperLink()) {
		t.Errorf("plugged over somebody's %s: %v", plan.ShaperLink(), err)
	}
	if err := h.Unplug(ctx, plan); err != nil {
		t.Error(err)
	}
	run(t, "ip", "link", "del", plan.ShaperLink())
	if diff := cmp.Diff(empty, everything(t)); diff != "" {
		t.Errorf("left after a refused one: %s", diff)
	}
}
