package cmdline

import (
	"slices"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"croft/internal/fail"
)

// corrected returns the line with good for bad in the word that was read last,
// and with the words after it corrected too. It returns "" if that is not
// a valid line.
func (r *reader) corrected(bad, good string) string {
	words := slices.Clone(r.all)
	at := len(r.all) - len(r.rest) - 1
	words[at] = strings.Replace(words[at], bad, good, 1)
	next := newReader(r.root, words)
	err := next.read()
	switch {
	case err == nil:
		return shellescape.QuoteCommand(append([]string{r.root.Name}, words...))
	case len(next.rest) < len(r.rest): // the error is about a later word
		return fail.HintOf(err)
	}
	return ""
}

// nearestVerb returns the command that word was probably meant for, or "".
// A harmful command may differ in one letter only.
func (r *reader) nearestVerb(word string) string {
	var names []string
	if r.verb == r.root {
		names = append(names, "help")
	}
	for _, v := range r.verb.Verbs {
		if slices.Contains(v.Synonyms, word) {
			return v.Name
		}
		if !v.Harmful || distance(word, v.Name) <= 1 {
			names = append(names, v.Name)
		}
	}
	return nearest(word, names)
}

// nearest returns the word of words that word is a likely typing error of, or "".
func nearest(word string, words []string) string {
	best, most := "", max(1, len(word)/3)
	for _, w := range words {
		if d := distance(word, w); d <= most {
			best, most = w, d-1
		}
	}
	return best
}

// distance returns how many letters have to be changed, removed, added or
// swapped with the next to get from a to b (the optimal string alignment
// distance; the library that urfave/cli uses does not count a swap as one).
func distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		rows[2][0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[1][j]+1, rows[2][j-1]+1, rows[1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[0][j-2]+1)
			}
			rows[2][j] = d
		}
		rows[0], rows[1], rows[2] = rows[1], rows[2], rows[0]
	}
	return rows[1][len(b)]
}
