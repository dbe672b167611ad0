package vps

import "strings"

// Words returns the edits in words, for a log that others may read: without values of
// environment variables, which can be secret.
func Words(edits ...Edit) []string {
	var all []string
	for _, e := range edits {
		all = append(all, words(e))
	}
	return all
}

func words(e Edit) string {
	switch e := e.(type) {
	case AtRestart:
		return AtRestart{wordsOnly{e.Edit, words(e.Edit)}}.String()
	case SetEnv:
		name, _, _ := strings.Cut(e.Text, "=")
		return "env " + name
	}
	return e.String()
}

// wordsOnly is an edit with other words.
type wordsOnly struct {
	Edit
	words string
}

func (w wordsOnly) String() string { return w.words }
