package state

import (
	"context"
	"testing"

	"croft/internal/vps"
)

func TestFreeRanges(t *testing.T) {
	const all = (endIDs - firstIDs) / IDUnit
	for what, c := range map[string]struct {
		used []vps.IDRange
		want int
	}{
		"none":                  {nil, all},
		"one":                   {[]vps.IDRange{{First: firstIDs, Size: IDUnit}}, all - 1},
		"the same twice":        {[]vps.IDRange{{First: firstIDs, Size: IDUnit}, {First: firstIDs, Size: IDUnit}}, all - 1},
		"a part of two":         {[]vps.IDRange{{First: firstIDs + IDUnit - 1, Size: 2}}, all - 2},
		"nothing":               {[]vps.IDRange{{First: firstIDs, Size: 0}, {}}, all},
		"below and above":       {[]vps.IDRange{{First: 0, Size: firstIDs}, {First: endIDs, Size: 2 * IDUnit}}, all},
		"into it, from below":   {[]vps.IDRange{{First: 100000, Size: firstIDs}}, all - 2},
		"everything that there": {[]vps.IDRange{{First: 0, Size: 1<<32 - 1}}, 0},
	} {
		if got := freeRanges(c.used); got != c.want {
			t.Errorf("%s: %d are free, not %d", what, got, c.want)
		}
	}
}

// What is given away is not free any more.
func TestFreeIDsAreCounted(t *testing.T) {
	s, _ := newStore(t)
	before, err := s.FreeIDs(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Lock(context.Background(), "web", "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	d, err := l.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	if err := d.AllocateIDs(context.Background(), &vps.VPS{}, 2*IDUnit); err != nil {
		t.Fatal(err)
	}
	if after, err := s.FreeIDs(context.Background()); err != nil || after != before-2 {
		t.Errorf("%d were free and are %d, %v", before, after, err)
	}
}
