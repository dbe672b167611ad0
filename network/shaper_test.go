package network

import (
	"testing"

	"croft/internal/vps"
)

func TestShaperHoldsFrames(t *testing.T) {
	for _, rate := range []uint64{vps.LeastRate, 1_000_000, 10_000_000_000, vps.MostRate} {
		for _, mtu := range []int{0, 1500, 65535} {
			s := NewShaper(rate, mtu)
			if int(s.Burst) < mtu+14 || int(s.Limit) < mtu+14 {
				t.Errorf("%d bit/s, mtu %d: %s", rate, mtu, s)
			}
		}
	}
}
