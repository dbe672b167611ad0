package vps

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"croft/internal/fail"
)

func TestDeferred(t *testing.T) {
	for _, c := range []struct {
		before string
		edits  []Edit
		want   string
	}{
		{"", []Edit{LimitMemory.Set(1 << 30)}, ""},
		{"", []Edit{AtRestart{LimitMemory.Set(1 << 30)}, AtRestart{SetSearch{Domains: []string{"example.org"}}}}, "memory search"},
		{"", []Edit{AtRestart{LimitMemory.Set(0)}}, ""}, // it has this limit
		{"memory search", []Edit{LimitCPUs.Set(500)}, "search"},
		{"memory", []Edit{AtRestart{LimitCPUs.Set(500)}}, "cpus memory"},
		{"", []Edit{AtRestart{LimitMemoryLow.Set(1)}, AtRestart{LimitCPUWeight.Set(1)}, AtRestart{SetCPUSet{"0"}}, AtRestart{LimitIOWeight.Set(1)},
			AtRestart{SetIO{Limits: []IOLimit{{Operations: 10}}}}, AtRestart{SetIO{true, []IOLimit{{Operations: 10}}}}}, "cpu-weight cpuset io-read io-weight io-write memory-low"},
		{"memory", []Edit{SetLabel{Key: "a", Value: "b"}}, "memory"},
	} {
		was := VPS{Name: "web", Hostname: "web"}
		now, err := Edited(was, c.edits...)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(Deferred(strings.Fields(c.before), was, now, c.edits...)); got != "["+c.want+"]" {
			t.Errorf("%s, %v: got %s", c.before, c.edits, got)
		}
	}
}

func TestAtRestartRefusesClaims(t *testing.T) {
	_, err := Edited(VPS{Name: "web", Hostname: "web"}, AtRestart{AddAddress{Address: netip.MustParseAddr("10.90.0.2")}})
	if !fail.Is(err, fail.Usage) {
		t.Errorf("got %v", err)
	}
}
