package hostfacts

import (
	"fmt"
	"testing"
)

// The CPUs with the fewest VPSs come first, then those that have worked least, then the
// lowest numbers.
func TestLeastUsed(t *testing.T) {
	four := CPUs{0: 50, 1: 40, 2: 30, 3: 20}
	for _, c := range []struct {
		name   string
		cpus   CPUs
		n      int
		pinned []string
		want   string
	}{
		{"idle ones", four, 2, nil, "2-3"},
		{"equal", CPUs{0: 7, 1: 7, 2: 7}, 2, nil, "0-1"},
		{"without VPSs", four, 2, []string{"2-3"}, "0-1"},
		{"with fewer VPSs", four, 1, []string{"0-3", "2-3", "1"}, "0"},
		{"not side by side", four, 2, []string{"1-2"}, "0,3"},
		{"more than there are", four, 9, []string{"0"}, "0-3"},
		{"a gap in the numbers", CPUs{0: 1, 8: 0}, 1, nil, "8"},
		{"pinned to what is not usable", CPUs{0: 1, 1: 2}, 1, []string{"5", "bad", "any:2"}, "0"},
		{"not known", nil, 2, nil, ""},
	} {
		if got := c.cpus.LeastUsed(c.n, c.pinned); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestUsableCPUs(t *testing.T) {
	const stat = "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 400 500 6 7 8 900 1000\ncpu3 1 0 0 4\nintr 5 5\ncpufreq 1\n"
	for _, c := range []struct{ online, allowed, isolated, want string }{
		{"0-3", "", "", "map[0:27 1:0 2:0 3:1]"},
		{"0-3", "1,3,9", "", "map[1:0 3:1]"},
		{"0-3", "0-3", "2-3", "map[0:27 1:0]"},
		{"0-1", "", "0-1", "map[0:27 1:0]"},
		{"", "0-3", "", "map[]"},
	} {
		if got := fmt.Sprint(usableCPUs(c.online, c.allowed, c.isolated, stat)); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	if here := UsableCPUs(""); len(here) == 0 {
		t.Error("this host has no CPUs")
	}
}

func TestHasCPUs(t *testing.T) {
	c := CPUs{0: 1, 1: 0, 3: 0}
	for list, want := range map[string]bool{"0-1": true, "1,3": true, "1-2": false, "0": false, "": false, "0-1,3": false, "any:2": false} {
		if c.Has(list, 2) != want {
			t.Errorf("%q", list)
		}
	}
}
