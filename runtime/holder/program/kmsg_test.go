package main

import "testing"

func TestMonotonicOffset(t *testing.T) {
	for text, want := range map[string]int64{
		"monotonic      -55647         0\nboottime       -55647         0\n": -55647e6,
		"monotonic 3 2000\n": 3000002, "monotonic 0 0\n": 0, "": 0, "boottime 1 0\n": 0, "monotonic": 0, "monotonic 7 ": 7e6,
	} {
		if got := monotonicOffset([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
