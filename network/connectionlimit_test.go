package network

import (
	"testing"

	"croft/internal/fail"
	"croft/internal/vps"
)

func TestConnectionLimit(t *testing.T) {
	port := Plan{Mode: ModeBridge, HostLink: "cr-a-aaaa", Bridge: "croft0"}
	for _, c := range []struct {
		connections int64
		places      uint64
		want        uint32
	}{
		{0, 262144, 32768}, {0, 8, vps.LeastConnections}, {100, 262144, 100}, {vps.UnlimitedConnections, 262144, 0}, {vps.MostConnections, 1024, vps.MostConnections},
	} {
		port.Connections = c.connections
		if got := port.ConnectionLimit(c.places); got != c.want {
			t.Errorf("%d of %d: %d, not %d", c.connections, c.places, got, c.want)
		}
	}
	if got := (Plan{Mode: ModeMACVLAN}).ConnectionLimit(262144); got != 0 {
		t.Errorf("an interface that the host does not see has the bound %d", got)
	}
	for _, n := range []int64{-2, 1, vps.MostConnections + 1} {
		if err := vps.CheckConnections(n); !fail.Is(err, fail.Usage) {
			t.Errorf("%d: %v", n, err)
		}
	}
}
