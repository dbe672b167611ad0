package cli

import (
	"slices"
	"strings"

	"croft/internal/fail"
)

// A line is a command line in the order that urfave/cli wants, which stops
// looking for options at the first word.
type line struct {
	verb  *verb    // the root if no command was given
	path  []string // of verb
	meant []string // the path of the command that was probably meant; path if there is no doubt
	help  bool     // help about verb is wanted, nothing else
	argv  []string // croft [GLOBAL] VERB [OPTIONS] -- WORDS, each option as --name or --name=value
}

// An arranger reads a command line from left to right.
type arranger struct {
	root, verb      *verb
	path, meant     []string
	global, options []string // arranged
	words           []string
	help            bool
	explain         bool     // the words after "help" are a command to explain
	all, rest       []string // the line, and what of it has not been read
}

// arrange sorts args: options may stand anywhere before "--", and the word
// that begins a command to run inside. An unknown command or option, and an
// option without the value that it needs, are fail.Usage. The line says which
// verb it is about even then.
func arrange(root *verb, args []string) (line, error) {
	a := newArranger(root, args)
	err := a.read()
	l := line{verb: a.verb, path: a.path, meant: a.path, help: a.help && err == nil}
	if a.meant != nil {
		l.meant = a.meant
	}
	if err != nil {
		return l, err
	}
	if a.verb.run == nil && !a.help && a.verb != root {
		var names []string
		for _, v := range a.verb.verbs {
			names = append(names, v.name)
		}
		return l, usageError("%s: which one: %s?", strings.Join(a.path, " "), strings.Join(names, ", "))
	}
	l.argv = slices.Concat([]string{"croft"}, a.global, a.path, a.options, []string{"--"}, a.words)
	return l, nil
}

func newArranger(root *verb, args []string) *arranger {
	return &arranger{root: root, verb: root, all: args, rest: args}
}

func (a *arranger) read() error {
	for len(a.rest) > 0 {
		word := a.rest[0]
		a.rest = a.rest[1:]
		var err error
		switch {
		case word == "--":
			err = a.afterDashes()
		case len(word) > 1 && word[0] == '-':
			err = a.option(word)
		case a.explain:
			err = a.subverb(word)
		case a.verb.named && len(a.words) == 0 && a.verb.verb(word) == nil:
			a.words = append(a.words, word)
		case len(a.verb.verbs) > 0:
			err = a.subverb(word)
		case a.verb.inside && len(a.words) == a.verb.before:
			a.words = slices.Concat(a.words, []string{word}, a.rest)
			a.rest = nil
		default:
			a.words = append(a.words, word)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// afterDashes takes everything after "--" for words.
func (a *arranger) afterDashes() error {
	if a.verb.inside && len(a.words) < a.verb.before {
		return usageError("%s: no NAME before --", strings.Join(a.path, " "))
	}
	a.words = append(a.words, a.rest...)
	a.rest = nil
	return nil
}

func (a *arranger) subverb(word string) error {
	if a.verb == a.root && word == "help" {
		a.help, a.explain = true, true
		return nil
	}
	sub, path := a.verb.find(word)
	if sub == nil {
		err := usageError("no command %q", strings.Join(append(slices.Clone(a.path), word), " "))
		if near := a.nearestVerb(word); near != "" {
			a.meant = append(slices.Clone(a.path), near)
			return err.WithHint("%s", a.corrected(word, near))
		}
		return err
	}
	a.verb, a.path = sub, append(a.path, path...)
	return nil
}

// corrected is the line with good for bad in the word that was read last, and
// with the words after it corrected too. It is "" if that is no valid line.
func (a *arranger) corrected(bad, good string) string {
	words := slices.Clone(a.all)
	last := len(a.all) - len(a.rest) - 1
	words[last] = strings.Replace(words[last], bad, good, 1)
	next := newArranger(a.root, words)
	err := next.read()
	switch {
	case err == nil:
		return quote(append([]string{"croft"}, words...))
	case len(next.rest) < len(a.rest): // it is about a later word
		return fail.HintOf(err)
	}
	return ""
}

// nearestVerb is the command that word was probably meant for, or "". One that
// ends or removes something has to be the same but for one letter.
func (a *arranger) nearestVerb(word string) string {
	var names []string
	if a.verb == a.root {
		names = append(names, "help")
	}
	for _, v := range a.verb.verbs {
		if slices.Contains(v.synonyms, word) {
			return v.name
		}
		if !harmful([]string{v.name}) || distance(word, v.name) <= 1 {
			names = append(names, v.name)
		}
	}
	return nearest(word, names)
}

// option reads one word of options: --name, --name=value, --name value, -n,
// -n value, -nvalue, or several of one letter that take no value.
func (a *arranger) option(word string) error {
	name, value, given := strings.Cut(strings.TrimPrefix(word, "--"), "=")
	if strings.HasPrefix(word, "--") {
		return a.put("--"+name, name, value, given)
	}
	if a.verb.dashed != "" && isSignal(word[1:]) {
		return a.put(word, a.verb.dashed, word[1:], true)
	}
	if long, _, ok := a.find(strings.TrimPrefix(name, "-")); ok && len(name) > 2 {
		return a.unknown(name, name, long.name) // -memory: a dash is missing
	}
	for letters := word[1:]; letters != ""; {
		letter, after := letters[:1], letters[1:]
		o, _, ok := a.find(letter)
		if !ok {
			return a.unknown("-"+letter, word, "")
		}
		if o.takesValue() && o.implied == "" && after != "" {
			return a.put("-"+letter, letter, strings.TrimPrefix(after, "="), true)
		}
		if err := a.put("-"+letter, letter, "", false); err != nil {
			return err
		}
		letters = after
	}
	return nil
}

// isSignal reports whether the word after a dash is a signal, as in kill -9
// and kill -KILL, and not letters of options.
func isSignal(word string) bool {
	_, err := parseSignal(word)
	return err == nil && strings.ToUpper(word) == word
}

// put arranges one option, which was typed as typed.
func (a *arranger) put(typed, name, value string, given bool) error {
	o, global, ok := a.find(name)
	switch {
	case !ok || strings.HasPrefix(typed, "--") && name == o.short:
		return a.unknown(typed, typed, "")
	case o.name == "help" && !given:
		a.help = true
		return nil
	case !o.takesValue() && given:
		return usageError("%s: takes no value, not %q", typed, value)
	case o.takesValue() && !given && o.implied != "":
		value = o.implied
	case o.takesValue() && !given:
		if len(a.rest) == 0 || isOption(a.rest[0]) {
			return usageError("%s: needs a value", typed)
		}
		value, a.rest = a.rest[0], a.rest[1:]
	}
	arranged := "--" + o.name
	if o.takesValue() {
		arranged += "=" + value
	}
	if global {
		a.global = append(a.global, arranged)
	} else {
		a.options = append(a.options, arranged)
	}
	return nil
}

// isOption reports whether a word where a value should be is an option, and no
// negative number.
func isOption(word string) bool {
	return len(word) > 1 && word[0] == '-' && (word[1] < '0' || word[1] > '9')
}

// find looks an option up, the verb's before those of every verb.
func (a *arranger) find(name string) (o option, global, ok bool) {
	if a.verb != a.root {
		if o, ok := a.verb.option(name); ok {
			return o, false, true
		}
	}
	o, ok = a.root.option(name)
	return o, true, ok
}

// unknown says that there is no such option, and which was probably meant:
// near, or the nearest.
func (a *arranger) unknown(option, typed, near string) error {
	who := ""
	if a.verb != a.root {
		who = strings.Join(a.path, " ") + ": "
	}
	err := fail.New(fail.Usage, "%sno option %s", who, option)
	if near == "" {
		var names []string
		for _, o := range slices.Concat(a.verb.options, a.root.options) {
			names = append(names, o.name)
		}
		near = nearest(strings.TrimLeft(typed, "-"), names)
	}
	if near == "" {
		return err
	}
	return err.WithHint("%s", a.corrected(typed, "--"+near))
}

// nearest is the one of words that word is a likely slip of, or "".
func nearest(word string, words []string) string {
	best, most := "", max(1, len(word)/3)
	for _, w := range words {
		if d := distance(word, w); d <= most {
			best, most = w, d-1
		}
	}
	return best
}

// distance is how many letters have to be changed, left out, put in or swapped
// with the next to get from a to b (the optimal string alignment distance).
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

// quote writes words as a shell would read them again.
func quote(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		plain := w != "" && strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+./:,@%^") == ""
		if !plain {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		quoted[i] = w
	}
	return strings.Join(quoted, " ")
}
