package vps

import (
	"net/netip"
	"testing"
)

// Settings that only croft uses do not change what is started. All others do.
func TestStartsAs(t *testing.T) {
	v := VPS{Name: "web", Hostname: "web", Interfaces: []Interface{{Name: "eth0", Network: "croft0"}}, Labels: map[string]string{"a": "b"}}
	for _, e := range []Edit{SetLabel{Key: "tier", Value: "web"}, SetOnBoot{OnBootNo}, SetBootOrder{3}, SetProtected{true}, SetRestart{Restart{When: RestartAlways}}} {
		if now, err := Edited(v, e); err != nil || !v.StartsAs(now) || !now.StartsAs(v) {
			t.Errorf("%s: %v", e, err)
		}
	}
	for _, e := range []Edit{LimitMemory.Set(64 << 20), SetHostname{"h"}, SetRate{In: new(uint64(1_000_000))}, SetPolicy{Chain: ChainInput, Policy: PolicyDrop}} {
		if now, err := Edited(v, e); err != nil || v.StartsAs(now) {
			t.Errorf("%s: %v", e, err)
		}
	}
	other := v.Clone()
	other.Interfaces[0].Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	if v.StartsAs(other) {
		t.Error("with another address")
	}
}
