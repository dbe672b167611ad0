package network

import (
	"testing"

	"croft/internal/vps"
)

func TestShaperHoldsFrames(t *testing.T) {
	for _, rate := range []uint64{vps.LeastRate, 1_000_000, 10_000_000_000, vps.MostRate} {
		for _, mtu := range []int{0, 1500, 65535} {
			s := newShaper(rate, mtu)
			if int(s.burst) < mtu+14 || int(s.limit) < mtu+14 {
				t.Errorf("%d bit/s, mtu %d: %s", rate, mtu, s)
			}
		}
	}
}
