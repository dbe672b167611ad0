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

// After a report the holder looks at the numbers several times, and looks no more often if there are
// more reports.
func TestLooks(t *testing.T) {
	c := counts{changes: -1, look: len(looks), victims: victims{fd: -1}}
	if c.rest(1000) != -1 {
		t.Errorf("there is work without a report")
	}
	now := int64(1000)
	c.note(now)
	for n, pause := range looks {
		if got := c.rest(now); got != int(pause) {
			t.Errorf("look %d: in %d ms", n, got)
		}
		c.work(now + pause - 1) // too early
		now += pause
		c.work(now)
	}
	if c.rest(now) != -1 {
		t.Errorf("it looks all the time")
	}
	c.note(now)
	for range 3 {
		c.work(now)
		now += int64(c.rest(now))
	}
	c.work(now)
	c.note(now)
	if got := c.rest(now); got != int(looks[lookAgain]) && got != -1 && got != 0 {
		t.Errorf("a report meanwhile: in %d ms", got)
	}
}

// Events are told once a minute at most, and wait for the name of a process that was killed.
func TestEventsAreRare(t *testing.T) {
	c := counts{changes: -1, look: len(looks), n: 1, victims: victims{fd: -1}}
	c.all[0].last, c.all[0].told = 3, 2
	if got := c.rest(1000); got != 0 {
		t.Errorf("the first event: in %d ms", got)
	}
	c.told = 5000
	if got := c.rest(6000); got != countRest-1000 {
		t.Errorf("the next event: in %d ms", got)
	}
	c.look, c.due, c.victims.missing = 1, 6020, 1
	if got := c.rest(6000); got != 20 || !c.waits() {
		t.Errorf("a name is missing: in %d ms", got)
	}
	c.all[0].told, c.look = 3, len(looks)
	if got := c.rest(6000); got != -1 {
		t.Errorf("after all: in %d ms", got)
	}
}

func TestInsidePID(t *testing.T) {
	const status = "Name:\tperl\nState:\tZ (zombie)\nPid:\t739\nNStgid:\t739\t57\nNSpid:\t739\t57\t3\nVmPeak:\t 8 kB\n"
	if got := insidePID([]byte(status), []byte("perl")); got != 57 {
		t.Errorf("%d", got)
	}
	for text, name := range map[string]string{status: "other", "Name:\tperl\nNSpid:\t739\n": "perl", "": "perl", "Name:\tperl\nNSp": "perl"} {
		if got := insidePID([]byte(text), []byte(name)); got != 0 {
			t.Errorf("%q, %s: %d", text, name, got)
		}
	}
}
