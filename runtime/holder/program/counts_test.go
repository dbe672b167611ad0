package main

import "testing"

// A number is that of the whole key.
func TestValueOf(t *testing.T) {
	text := "oom 3\noom_kill 12\nmax 7"
	for key, want := range map[string]int{"oom": 3, "oom_kill": 12, "max": 7, "oom_": 0, "kill": 0, "": 0} {
		if got := valueOf([]byte(text), key); got != want {
			t.Errorf("%q: %d, and not %d", key, got, want)
		}
	}
	for _, text := range []string{"", "max", "max x", "max 1x", "max 99999999999999999999999"} {
		if got := valueOf([]byte(text), "max"); got != 0 {
			t.Errorf("%q: %d", text, got)
		}
	}
}

// After a report the holder looks at the numbers several times, and tells of them once a
// minute at most.
func TestCountsAreRare(t *testing.T) {
	c := counts{changes: -1}
	if c.rest(1000) != -1 {
		t.Errorf("there is work without a report")
	}
	c.note(1000)
	for n := range countTries {
		if got := c.rest(c.due - 3); got != 3 {
			t.Errorf("look %d: in %d ms", n, got)
		}
		c.work(c.due - 1) // too early
		c.work(c.due)
	}
	if c.rest(5000) != -1 {
		t.Errorf("it looks all the time")
	}
	c.told = 5000
	c.note(6000)
	if got := c.rest(6000); got != countRest-1000 {
		t.Errorf("after an event: in %d ms", got)
	}
}
