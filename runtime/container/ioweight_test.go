package container

import "testing"

func TestIOWeight(t *testing.T) {
	for _, c := range []struct {
		weight, bfq string
		want        any
	}{
		{"300", "118", uint64(300)},
		{"", "118", uint64(298)}, // 118 for bfq
		{"", "50", uint64(50)},
		{"", "1000", uint64(10000)},
		{"", "", nil},
	} {
		got := ioWeight(map[string]string{"io.weight": c.weight, "io.bfq.weight": c.bfq})
		if c.want == nil && len(got) != 0 || c.want != nil && (len(got) != 1 || got[0].Name != "IOWeight" || got[0].Value.Value() != c.want) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
