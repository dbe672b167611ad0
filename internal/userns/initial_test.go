package userns

import "testing"

func TestIDMaps(t *testing.T) {
	for idMap, want := range map[string]struct {
		initial bool
		trial   uint32
	}{
		"         0          0 4294967295\n":           {true, 0x7FFF0000},
		"":                                             {true, 0x7FFF0000},
		"         0    2097152     262144\n":           {false, 0x7FFF0000}, // it has none to give
		"         0    2097152    2097152\n":           {false, 983040},
		"0 100000 1000\n1000 5000000 4000000\n":        {false, 983040},
		"0 100000 1048575\n":                           {false, 0x7FFF0000},
		"         0          0 2147483647\nx y z\nbad": {false, 983040},
	} {
		if got := initial(idMap); got != want.initial {
			t.Errorf("%q: initial %v", idMap, got)
		}
		if got := trial(idMap); got != want.trial {
			t.Errorf("%q: trial %d", idMap, got)
		}
	}
}
