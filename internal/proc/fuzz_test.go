package proc

import "testing"

// A process chooses its own name, with parentheses and spaces: no name ends the program.
func FuzzParseStat(f *testing.F) {
	f.Add("1 (init) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 42 1 1")
	f.Add("1 (a) S (b) ) S 0")
	f.Add(") (")
	f.Fuzz(func(t *testing.T, text string) {
		one, err := ParseStat(text)
		again, err2 := ParseStat(text)
		if one != again || (err == nil) != (err2 == nil) {
			t.Errorf("%q is %+v, then %+v", text, one, again)
		}
	})
}
