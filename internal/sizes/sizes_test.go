package sizes

import "testing"

func TestParse(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "512": 512, "7b": 7, "1k": 1024, "1K": 1024, "64KiB": 64 << 10, "64mb": 64 << 20, "1.5G": 3 << 29, "0.5k": 512,
		"2T": 2 << 40, "1P": 1 << 50, "7E": 7 << 60, "9223372036854775807": 1<<63 - 1, "9007199254740993": 9007199254740993,
		"": -1, "k": -1, "-1": -1, "1.5": -1, "1.5B": -1, "1.k": -1, ".5k": -1, "1 k": -1, "1kk": -1, "1ik": -1, "8E": -1, "9223372036854775808": -1,
		"1e3": -1, "1Q": -1, "NaN": -1, "+1k": -1, "1k\n": -1,
	} {
		got, err := Parse(text)
		if (err == nil) != (want >= 0) || err == nil && got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
}

// Parse reads what Text writes.
func TestRoundTrip(t *testing.T) {
	for n := int64(1); n > 0; n *= 2 {
		if got, err := Parse(Text(n)); err != nil || got != n {
			t.Errorf("%d is %s, and that is %d, %v", n, Text(n), got, err)
		}
	}
}
