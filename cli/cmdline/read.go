package cmdline

import (
	"slices"
	"strings"

	"croft/internal/fail"
)

// A Line is a command line in the order that urfave/cli needs: it stops looking
// for options at the first word.
type Line struct {
	Verb  *Verb    // the root if no command was given
	Path  []string // of Verb
	Meant []string // the path of the command that was probably meant; Path if there is no doubt
	Help  bool     // only help about Verb is wanted

	argv   []string // croft [GLOBAL] VERB [OPTIONS] -- WORDS, each option as --name or --name=value
	global []string // options of every command, as in argv
	words  []string
	typed  []string // the line without options that are Here
}

// Words returns the words of the line that are neither options nor its verb.
func (l Line) Words() []string { return l.words }

// Arranged returns the line in the order that urfave/cli needs.
func (l Line) Arranged() []string { return l.argv }

// Elsewhere returns the words of the line for the same program on another host: as
// they were typed, without the options that are Here.
func (l Line) Elsewhere() []string { return l.typed }

// Global returns the last value of an option of every command, and whether the
// line has it. The value is "" for an option that takes none. It works for
// a line with an error too, for the options before the error.
func (l Line) Global(name string) (value string, given bool) { return last(l.global, name) }

func last(options []string, name string) (value string, given bool) {
	for _, o := range slices.Backward(options) {
		if typed, value, _ := strings.Cut(o, "="); typed == "--"+name {
			return value, true
		}
	}
	return "", false
}

// A reader reads a command line from left to right.
type reader struct {
	root, verb      *Verb
	path, meant     []string
	global, options []string // in order
	words           []string
	help            bool
	explain         bool     // the words after "help" are a command to explain
	all, rest       []string // the line, and the part that has not been read
	typed           []string // what was read, without options that are Here
	here            string   // the letter of an option that is Here in the word being read
}

// Read puts the words of a command line in order. Options may stand anywhere
// before "--", and before the first word of a command to run inside. An unknown
// command or option, and an option without its value, are fail.Usage. The line
// has the verb even then.
func Read(root *Verb, args []string) (Line, error) {
	r := newReader(root, args)
	err := r.read()
	l := Line{Verb: r.verb, Path: r.path, Meant: r.path, Help: r.help && err == nil, global: r.global, words: r.words}
	if r.meant != nil {
		l.Meant = r.meant
	}
	if err != nil {
		return l, err
	}
	if r.verb.Run == nil && !r.help && r.verb != root {
		var names []string
		for _, v := range r.verb.Verbs {
			names = append(names, v.Name)
		}
		return l, usageError("%s: which one: %s?", strings.Join(r.path, " "), strings.Join(names, ", "))
	}
	l.typed = append(r.typed, r.rest...)
	l.argv = slices.Concat([]string{root.Name}, r.global, r.path, r.options, []string{"--"}, r.words)
	return l, nil
}

func newReader(root *Verb, args []string) *reader {
	return &reader{root: root, verb: root, all: args, rest: args}
}

func (r *reader) read() error {
	for len(r.rest) > 0 {
		before := r.rest
		word := r.next()
		var err error
		switch {
		case word == "--":
			err = r.afterDashes()
		case len(word) > 1 && word[0] == '-':
			err = r.option(word)
		case r.explain:
			err = r.subverb(word)
		case r.verb.Named && len(r.words) == 0 && r.verb.Verb(word) == nil:
			r.words = append(r.words, word)
		case len(r.verb.Verbs) > 0:
			err = r.subverb(word)
		case r.verb.Inside && len(r.words) == r.verb.Before:
			r.words = slices.Concat(r.words, []string{word}, r.rest)
			r.rest = nil
		default:
			r.words = append(r.words, word)
		}
		if err != nil {
			return err
		}
		r.keep(before[:len(before)-len(r.rest)])
	}
	return nil
}

// keep adds words that have been read to those for another host. If they are an option
// that is Here, the letters of other options before it stay.
func (r *reader) keep(read []string) {
	if r.here == "" {
		r.typed = append(r.typed, read...)
		return
	}
	if word := read[0]; !strings.HasPrefix(word, "--") {
		if at := strings.Index(word, r.here); at > 1 {
			r.typed = append(r.typed, word[:at])
		}
	}
	r.here = ""
}

// next takes the next word of the line.
func (r *reader) next() string {
	word := r.rest[0]
	r.rest = r.rest[1:]
	return word
}

// afterDashes takes everything after "--" as words.
func (r *reader) afterDashes() error {
	if r.verb.Inside && len(r.words) < r.verb.Before {
		return usageError("%s: no NAME before --", strings.Join(r.path, " "))
	}
	if r.root.Style == GoFlags && r.verb == r.root && len(r.rest) > 0 { // the verb still follows
		return r.subverb(r.next())
	}
	r.words = append(r.words, r.rest...)
	r.rest = nil
	return nil
}

func (r *reader) subverb(word string) error {
	if r.verb == r.root && !r.explain && (word == "help" || r.root.Style == GoFlags && word == "h") {
		r.help, r.explain = true, true
		return nil
	}
	sub, path := r.verb.Find(word)
	if sub == nil {
		return r.unknownVerb(word)
	}
	r.verb, r.path = sub, append(r.path, path...)
	if r.explain && r.root.Style == GoFlags {
		r.rest = nil
	}
	return nil
}

// option reads one word of options in the style of the table.
func (r *reader) option(word string) error {
	if r.root.Style == GoFlags {
		return r.goFlag(word)
	}
	return r.gnuOption(word)
}

// gnuOption reads --name, --name=value, --name value, -n, -n value, -nvalue, or
// several options of one letter that take no value.
func (r *reader) gnuOption(word string) error {
	name, value, given := strings.Cut(strings.TrimPrefix(word, "--"), "=")
	if strings.HasPrefix(word, "--") {
		return r.put("--"+name, name, value, given)
	}
	if r.verb.Dashed != "" && r.verb.IsDashed(word[1:]) {
		return r.put(word, r.verb.Dashed, word[1:], true)
	}
	if long, _, ok := r.find(strings.TrimPrefix(name, "-")); ok && len(name) > 2 {
		return r.unknownOption(name, name, long.Name) // -memory: a dash is missing
	}
	for letters := word[1:]; letters != ""; {
		letter, after := letters[:1], letters[1:]
		o, _, ok := r.find(letter)
		if !ok {
			return r.unknownOption("-"+letter, word, "")
		}
		if o.TakesValue() && o.Implied == "" && after != "" {
			return r.put("-"+letter, letter, strings.TrimPrefix(after, "="), true)
		}
		if err := r.put("-"+letter, letter, "", false); err != nil {
			return err
		}
		letters = after
	}
	return nil
}

// isDashValue reports whether a word that looks like a short option can be the
// value of an option with Dash.
func isDashValue(word string) bool { return !strings.HasPrefix(word, "--") }

// put adds one option to the line. The user typed it as typed.
func (r *reader) put(typed, name, value string, given bool) error {
	o, global, ok := r.find(name)
	switch {
	case !ok || strings.HasPrefix(typed, "--") && name == o.Short:
		return r.unknownOption(typed, typed, "")
	case o.Name == "help" && !given:
		r.help = true
		return nil
	case !o.TakesValue() && given:
		return usageError("%s: takes no value, not %q", typed, value)
	case o.TakesValue() && !given && o.Implied != "":
		value = o.Implied
	case o.TakesValue() && !given:
		if len(r.rest) == 0 || isOption(r.rest[0]) && !(o.Dash && isDashValue(r.rest[0])) {
			return usageError("%s: needs a value", typed)
		}
		value = r.next()
	}
	if o.Here {
		r.here = o.Short
	}
	if o.TakesValue() {
		r.add(global, "--"+o.Name+"="+value)
	} else {
		r.add(global, "--"+o.Name)
	}
	return nil
}

func (r *reader) add(global bool, option string) {
	if global {
		r.global = append(r.global, option)
	} else {
		r.options = append(r.options, option)
	}
}

// isOption reports whether a word in the place of a value is an option and not
// a negative number.
func isOption(word string) bool {
	return len(word) > 1 && word[0] == '-' && (word[1] < '0' || word[1] > '9')
}

// find returns the option with this name. The options of the verb come before
// those of every command.
func (r *reader) find(name string) (o Option, global, ok bool) {
	if r.verb != r.root {
		if o, ok := r.verb.Option(name); ok {
			return o, false, true
		}
		if r.root.Style == GoFlags {
			return Option{}, false, false
		}
	}
	o, ok = r.root.Option(name)
	return o, true, ok
}

// unknownVerb returns the error for a word that is not a command, with the
// command that was probably meant.
func (r *reader) unknownVerb(word string) error {
	if r.root.Style == GoFlags {
		return &UnknownVerb{word}
	}
	err := usageError("no command %q", strings.Join(append(slices.Clone(r.path), word), " "))
	near := r.nearestVerb(word)
	if near == "" {
		return err
	}
	r.meant = append(slices.Clone(r.path), near)
	return err.WithHint("%s", r.corrected(word, near))
}

// unknownOption returns the error for an option that does not exist. near is
// the option that was probably meant; "" if that is to be found out.
func (r *reader) unknownOption(option, typed, near string) error {
	who := ""
	if r.verb != r.root {
		who = strings.Join(r.path, " ") + ": "
	}
	err := fail.New(fail.Usage, "%sno option %s", who, option)
	if near == "" {
		var names []string
		for _, o := range slices.Concat(r.verb.Options, r.root.Options) {
			names = append(names, o.Name)
		}
		near = nearest(strings.TrimLeft(typed, "-"), names)
	}
	if near == "" {
		return err
	}
	return err.WithHint("%s", r.corrected(typed, "--"+near))
}
