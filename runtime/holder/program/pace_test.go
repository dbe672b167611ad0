package main

import "testing"

func TestPace(t *testing.T) {
	p := pace{most: windowBytes}
	now := int64(12345)
	for range windowBytes / 4096 {
		if p.exhausted(now) {
			t.Fatal("too early")
		}
		p.spent += 4096
	}
	if !p.exhausted(now) || !p.exhausted(now+int64(rest(now))-1) {
		t.Error("more is read in the same window")
	}
	if p.exhausted(now + int64(rest(now))) {
		t.Error("nothing is read in the next window")
	}
	if a := milliseconds(); a <= 0 || milliseconds() < a {
		t.Error("the clock does not go on")
	}
}
