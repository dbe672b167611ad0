package pattern

import "testing"

// A pattern matches, and an invalid one is found by any test of its package.
func TestNew(t *testing.T) {
	digits := New("^[0-9]+$")
	if !digits().MatchString("12") || digits().MatchString("a") {
		t.Error("it does not match digits only")
	}
	defer func() {
		if recover() == nil {
			t.Error("an invalid pattern is not found")
		}
	}()
	New("(")
}
