// Package settings writes the settings of a VPS as words and as YAML, and reads
// them again. Each setting has one row in a table. Its key in a file is the name of
// the option of create, and its words are values of that option. So a file, a
// profile and a command line are read by the same code.
//
// The package is pure: it knows neither files nor the machine.
package settings

import (
	"iter"
	"slices"
	"strings"

	"croft/internal/vps"
)

// A Form is how a file writes a setting, and how set changes it.
type Form int

const (
	Scalar  Form = iota // one value
	List                // values; set replaces all of them
	Members             // values; set adds and removes each of them
	Pairs               // KEY=VALUE, a mapping in a file; set adds and removes each of them
)

// A Setting is one setting of a VPS.
type Setting struct {
	Key  string // the option of create, and the key in a file
	Form Form
	// Default is the word with which set restores the default of a Scalar or List, or
	// that is the default of Members.
	Default string
	// Words are the present values, as create reads them; none means the default. It is
	// nil for what croft writes into the files of a VPS and does not keep: a file that
	// has it always changes it.
	Words func(v vps.VPS) []string
	// Add is the option of set for a new value; "" is Key.
	Add string
	// Remove is the option of set that removes one of the Members or Pairs. Without
	// it the option is Add, and its value is "-" and the word, or its key.
	Remove func(word string) (name, value string)
	// Empty is the word for Members of which there are none; "" is none.
	Empty string
	// Fixed means that only create has the setting.
	Fixed bool
}

// An Option is an option of set with its value, as a user types it. Key is its setting.
type Option struct{ Key, Name, Value string }

// Words are the words of settings, by key. A key without words is a setting that
// has its default.
type Words map[string][]string

// Of returns the words of all settings of v that do not have their default.
func Of(v vps.VPS) Words {
	words := Words{}
	for _, s := range All() {
		if s.Words == nil {
			continue
		}
		if w := s.Words(v); len(w) > 0 {
			words[s.Key] = w
		}
	}
	return words
}

// Find returns the setting of that key.
func Find(key string) (Setting, bool) {
	all := All()
	i := slices.IndexFunc(all, func(s Setting) bool { return s.Key == key })
	if i < 0 {
		return Setting{}, false
	}
	return all[i], true
}

// Changes returns the options of set that lead from one to the other, in the order
// of the table. A key that is missing in want stays as it is. Fixed settings are
// left out: see Fixed.
func Changes(have, want Words) []Option {
	var options []Option
	for _, s := range All() {
		w, wanted := want[s.Key]
		if h := have[s.Key]; wanted && !s.Fixed && !s.same(h, w) {
			for name, value := range s.change(h, w) {
				options = append(options, Option{s.Key, name, value})
			}
		}
	}
	return options
}

// Fixed returns the keys of want that only create can set, and that have another
// value in have.
func Fixed(have, want Words) []string {
	var keys []string
	for _, s := range All() {
		if w, wanted := want[s.Key]; wanted && s.Fixed && !s.same(have[s.Key], w) {
			keys = append(keys, s.Key)
		}
	}
	return keys
}

// same reports whether both are the same value. The order of Members and Pairs does
// not matter.
func (s Setting) same(have, want []string) bool {
	if s.Form == Scalar && len(have) == 0 && len(want) == 1 && want[0] == s.Default {
		return true
	}
	if s.Form == Scalar || s.Form == List {
		return slices.Equal(have, want)
	}
	if len(want) == 0 && s.Default != "" {
		want = []string{s.Default}
	}
	return slices.Equal(slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(want)))
}

// change yields the options of set, with their values, that lead from have to want.
func (s Setting) change(have, want []string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		if len(want) == 0 && s.Default != "" {
			want = []string{s.Default}
		}
		if s.Form == Scalar || s.Form == List {
			have = nil
		}
		have, want = s.members(have), s.members(want)
		for _, h := range have {
			if !slices.Contains(want, h) && !s.replaced(h, want) && !yield(s.remove(h)) {
				return
			}
		}
		for _, w := range want {
			if !slices.Contains(have, w) && !yield(s.add(), w) {
				return
			}
		}
	}
}

// members returns the words without that for none.
func (s Setting) members(words []string) []string {
	if s.Empty == "" {
		return words
	}
	return slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == s.Empty })
}

// replaced reports whether want has another value for the key of a pair.
func (s Setting) replaced(word string, want []string) bool {
	return s.Form == Pairs && slices.ContainsFunc(want, func(w string) bool { return pairKey(w) == pairKey(word) })
}

func (s Setting) add() string {
	if s.Add != "" {
		return s.Add
	}
	return s.Key
}

func (s Setting) remove(word string) (name, value string) {
	switch {
	case s.Remove != nil:
		return s.Remove(word)
	case s.Form == Pairs:
		return s.add(), "-" + pairKey(word)
	}
	return s.add(), "-" + word
}

func pairKey(word string) string {
	key, _, _ := strings.Cut(word, "=")
	return key
}

// A Value is the words of one setting, and the place that they come from.
type Value struct {
	Words []string
	From  string
}

// Layered returns the settings that new VPSs get from several files: a later file
// wins. Pairs are merged by their key, other settings are replaced as a whole.
func Layered(layers ...File) map[string]Value {
	values := map[string]Value{}
	for _, f := range layers {
		for key, words := range f.Words {
			s, _ := Find(key)
			if s.Form == Pairs {
				words = MergePairs(values[key].Words, words)
			}
			values[key] = Value{words, f.At(key)}
		}
	}
	return values
}

// MergePairs returns the pairs of both; those of more win.
func MergePairs(pairs, more []string) []string {
	var merged []string
	for _, p := range pairs {
		if !slices.ContainsFunc(more, func(m string) bool { return pairKey(m) == pairKey(p) }) {
			merged = append(merged, p)
		}
	}
	return append(merged, more...)
}
