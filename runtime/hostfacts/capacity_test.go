package hostfacts

import "testing"

func TestCountInList(t *testing.T) {
	for list, want := range map[string]int64{"0": 1, "0-3": 4, "0-1,4,6-7": 5, "": 0, "x": 0, "3-1": 0} {
		if got := countInList(list); got != want {
			t.Errorf("%q: %d, want %d", list, got, want)
		}
	}
	if countInList(onlineCPUs()) < 1 {
		t.Error("no CPU is online")
	}
}
