package host

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"croft/network"
)

// TestCostOfAStart plugs many VPSs: rules on the host do not grow, and each has
// one entry of the bridge's table. It prints what the first and the last cost in
// time, the best of ten, which is what a busy machine changes least.
func TestCostOfAStart(t *testing.T) {
	h := newHost(t)
	ctx := context.Background()
	table := network.Default(network.Seed{})
	const n = 200
	rules := func() int {
		nft := strings.Count(run(t, "nft", "list", "table", "bridge", network.FilterTable), "comment ")
		return nft + strings.Count(run(t, "iptables-save"), "\n-A ") + strings.Count(run(t, "ip6tables-save"), "\n-A ")
	}
	start := func(i int) (ensure, plug time.Duration) {
		plan, err := network.NewPlan(table, mustClaim(t, &table, fmt.Sprint("web", i)))
		if err != nil {
			t.Fatal(err)
		}
		pid := newVPS(t)
		begin := time.Now()
		if err := h.EnsureAtStart(ctx, table); err != nil {
			t.Fatal(err)
		}
		middle := time.Now()
		if err := h.Plug(ctx, plan, initOf(pid)); err != nil {
			t.Fatal(err)
		}
		return middle.Sub(begin), time.Since(middle)
	}
	start(0) // makes the bridge and the rules
	before := rules()
	first, last := [2]time.Duration{time.Hour, time.Hour}, [2]time.Duration{time.Hour, time.Hour}
	for i := range n {
		e, p := start(i + 1)
		if i < 10 {
			first[0], first[1] = min(first[0], e), min(first[1], p)
		}
		if i >= n-10 {
			last[0], last[1] = min(last[0], e), min(last[1], p)
		}
	}
	t.Logf("the best of starts 2 to 11: Ensure %v, Plug %v; of the last ten of %d: Ensure %v, Plug %v; %d rules", first[0], first[1], n, last[0], last[1], before)
	if after := rules(); after != before {
		t.Errorf("%d rules became %d", before, after)
	}
	fdb := run(t, "bridge", "fdb", "show", "br", table.Bridge, "static")
	if entries := strings.Count(fdb, " sticky"); entries != n+1 {
		t.Errorf("%d entries of the bridge's table for %d VPSs", entries, n+1)
	}
}
