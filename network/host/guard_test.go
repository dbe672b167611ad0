package host

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"croft/integration/attack"
	"croft/network"
)

// flushed counts, once all filters have been flushed, what comes up from the
// bridge behind the guard and is not what a VPS may send.
const flushed = `
flush ruleset
table netdev seen {
	chain in {
		type filter hook ingress device %[1]s priority 0;
		ether saddr != { %[2]s, %[3]s } counter comment "bad"
		ether saddr %[2]s ip saddr != %[4]s counter comment "bad"
		ether saddr %[2]s ip daddr 127.0.0.0/8 counter comment "bad"
		ether saddr %[2]s ip6 saddr != { %[5]s, %[6]s, :: } counter comment "bad"
		ether saddr %[2]s arp saddr ip != %[4]s counter comment "bad"
		ether saddr %[2]s meta protocol != { arp, ip, ip6 } counter comment "bad"
	}
}`

// TestFlushedFilters sends the attacks while there are no filters. What is not
// from the VPS itself still reaches nobody. Of the rest Bob is reached by what
// the host routes to him: packets that have their sender's own address.
func TestFlushedFilters(t *testing.T) {
	p := newPair(t)
	guarded := []network.Reason{network.ReasonMAC, network.ReasonSource, network.ReasonARP, network.ReasonEtherType, network.ReasonLoopback}
	routed := []network.Reason{network.ReasonDHCP, network.ReasonHeaders}
	run(t, "nft", fmt.Sprintf(flushed, p.table.Bridge, p.plans[0].MAC, p.plans[1].MAC,
		p.addr(0, false), p.addr(0, true), network.LinkLocal(p.plans[0].MAC)))
	for _, at := range p.attacks() {
		watchers := p.watch(t)
		p.send(t, 0, at.Frames...)
		p.mark(t)
		for _, frame := range watchers["Bob's eth0"].frames(t) {
			if bytes.Contains(frame, []byte(attack.Magic)) && !slices.Contains(routed, at.Reason) {
				t.Errorf("%s: seen at Bob's: % x", at.Name, frame)
			}
		}
		if n := bad(t); n > 0 && slices.Contains(guarded, at.Reason) {
			t.Errorf("%s: %d reached the host", at.Name, n)
		}
	}
	// So that what has not been seen means something.
	run(t, "tc", "qdisc", "del", "dev", p.table.Bridge, "clsact")
	for _, at := range p.attacks() {
		p.send(t, 0, at.Frames...)
	}
	for end := time.Now().Add(2 * time.Minute); bad(t) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("without the guard nothing is seen either")
		}
	}
}

// bad are the packets that the table above counted.
func bad(t *testing.T) (n int) {
	t.Helper()
	for _, m := range regexp.MustCompile(`counter packets (\d+) .*"bad"`).FindAllStringSubmatch(run(t, "nft", "list", "table", "netdev", "seen"), -1) {
		i, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		n += i
	}
	return n
}
