package look

import "testing"

func TestLastLines(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"", 1, ""}, {"a", 1, "a"}, {"a\n", 1, "a\n"}, {"a\nb", 1, "b"}, {"a\nb\n", 1, "b\n"},
		{"a\nb\n", 5, "a\nb\n"}, {"\n\n\n", 2, "\n\n"}, {"a\n", 0, ""},
	} {
		if got := lastLines([]byte(c.text), c.n); string(got) != c.want {
			t.Errorf("lastLines(%q, %d) = %q, want %q", c.text, c.n, got, c.want)
		}
	}
}
