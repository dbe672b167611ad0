package main

import (
	"slices"
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		name    string
		numbers []float64
		want    spread
		ok      bool
	}{
		{"none", nil, spread{}, false},
		{"not measured", []float64{0, 0}, spread{}, false},
		{"one", []float64{3}, spread{3, 3, 3}, true},
		{"odd", []float64{9, 1, 2}, spread{2, 1, 9}, true},
		{"even", []float64{4, 1, 2, 9}, spread{3, 1, 9}, true},
	} {
		before := slices.Clone(test.numbers)
		if got, ok := spreadOf(test.numbers); got != test.want || ok != test.ok {
			t.Errorf("%s: %+v, %v", test.name, got, ok)
		}
		if !slices.Equal(before, test.numbers) {
			t.Errorf("%s: the samples are in another order: ratios need theirs", test.name)
		}
	}
}

// The ratio is that of pairs: a machine that becomes slower does not change it.
func TestRatioIsOfPairs(t *testing.T) {
	wall := func(all ...time.Duration) (samples []sample) {
		for _, d := range all {
			samples = append(samples, sample{Wall: d})
		}
		return samples
	}
	got, ok := measures[0].ratio(wall(2, 20, 200, 7), wall(1, 10, 100))
	if want := (spread{2, 2, 2}); got != want || !ok {
		t.Errorf("%+v, %v", got, ok)
	}
	if got, ok := measures[0].ratio(wall(2), wall(0)); ok {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestTurns(t *testing.T) {
	want := []turn{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {2, 0}, {2, 1}}
	if got := turns(2, 2); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
