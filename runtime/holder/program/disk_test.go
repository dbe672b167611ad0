package main

import (
	"math"
	"testing"
)

// A disk that becomes nearly full is told once, and again after it had room.
func TestJudgeDisk(t *testing.T) {
	var d disk
	for n, c := range []struct {
		percent int
		tell    bool
	}{{0, false}, {89, false}, {90, true}, {99, false}, {88, false}, {91, false}, {84, false}, {95, true}, {100, false}} {
		if got := d.judge(c.percent); got != c.tell {
			t.Errorf("look %d, %d%%: %v", n, c.percent, got)
		}
	}
}

func TestPercentOf(t *testing.T) {
	for _, c := range []struct {
		used, all uint64
		want      int
	}{{0, 0, 0}, {5, 0, 0}, {1, 1, 100}, {90, 100, 90}, {899, 1000, 89}, {900, 1000, 90}, {1000, 1000, 100}, {2, 1, 0}, {math.MaxUint64, math.MaxUint64, 100}, {math.MaxUint64 / 2, math.MaxUint64, 49}} {
		if got := percentOf(c.used, c.all); got != c.want {
			t.Errorf("%d of %d: %d%%, want %d%%", c.used, c.all, got, c.want)
		}
	}
}

// A holder without a disk to watch does not wake up for it.
func TestNoDiskToWatch(t *testing.T) {
	var d disk
	d.work(1)
	if got := d.rest(1); got != forever || d.due != 0 {
		t.Errorf("it wakes up after %d ms, due %d", got, d.due)
	}
	d.FD, d.due = 5, 300
	if got := d.rest(100); got != 200 {
		t.Errorf("the next look is after %d ms", got)
	}
}
