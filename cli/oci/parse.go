package oci

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A line is one command line as it was typed.
type line struct {
	program string // what it calls itself
	version string
	global  values // options of all verbs
	verb    *verb
	values           // options of the verb
	words   []string // what is no option
	help    bool

	root string // directory of the containers
}

// A verb is one command.
type verb struct {
	name     string
	args     string // its words, as help shows them
	summary  string
	examples []string // what stands after "croft oci"
	about    string
	options  []option

	least, most int // how many words it takes; no most if negative

	// command says that what comes after the first word is another command's:
	// options after it are not the verb's.
	command bool

	run func(*line) (status int, err error)
}

// An option of a verb. One without a placeholder takes no value.
type option struct {
	names       []string // the first is what it is asked for by
	placeholder string
	usage       string
	hidden      bool // from help
}

// values are the options of a command line, by name, each with what was
// given for it in that order.
type values map[string][]string

func (v values) has(name string) bool { return len(v[name]) > 0 }

// text is the last value of an option, "" if it was not given.
func (v values) text(name string) string {
	if all := v[name]; len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

func (v values) is(name string) bool { return v.text(name) == "true" }

// number is an option's value, 0 if it was not given.
func (v values) number(name string) (int, error) {
	if !v.has(name) {
		return 0, nil
	}
	n, err := strconv.Atoi(v.text(name))
	if err != nil {
		return 0, fmt.Errorf("invalid value %q for flag -%s: %w", v.text(name), name, errors.Unwrap(err))
	}
	return n, nil
}

// find returns the option that a word is, with the value that is in it:
// "--name=value", and as Go's own flags, "-name value".
func find(options []option, word string) (o option, value string, valued, ok bool) {
	name := strings.TrimPrefix(strings.TrimPrefix(word, "-"), "-")
	if name == word || name == "" {
		return option{}, "", false, false
	}
	name, value, valued = strings.Cut(name, "=")
	for _, o := range options {
		for _, n := range o.names {
			if n == name {
				return o, value, valued, true
			}
		}
	}
	return option{}, "", false, false
}

// parse reads the options of all verbs, the verb, and its own options.
func (l *line) parse(typed []string) error {
	var words []string
	var err error
	if l.global, words, l.help, err = scan(globalOptions(), typed, true); err != nil || len(words) == 0 || l.help {
		return err
	}
	if words[0] == "help" || words[0] == "h" {
		if l.help = true; len(words) == 1 {
			return nil
		}
		words = words[1:]
	}
	for _, v := range verbs() {
		if v.name == words[0] {
			l.verb = v
		}
	}
	if l.verb == nil {
		return failure{3, fmt.Errorf("No help topic for '%s'", words[0])}
	}
	if l.help {
		return nil
	}
	l.values, l.words, l.help, err = scan(l.verb.options, words[1:], l.verb.command)
	if err != nil || l.help {
		return err
	}
	return l.count()
}

// count refuses too few words and too many.
func (l *line) count() error {
	n, v := len(l.words), l.verb
	switch {
	case v.least == v.most && n != v.least:
		return fmt.Errorf("%s: %q requires exactly %d argument(s)", l.program, v.name, v.least)
	case n < v.least:
		return fmt.Errorf("%s: %q requires a minimum of %d argument(s)", l.program, v.name, v.least)
	case v.most >= 0 && n > v.most:
		return fmt.Errorf("%s: %q requires a maximum of %d argument(s)", l.program, v.name, v.most)
	case n > 0 && l.words[0] == "":
		return errors.New("container id cannot be empty")
	}
	return nil
}

// scan takes options out of words. They end at "--", and at the first other
// word if they have to come first; else an unknown one after that is a word,
// as the signal -9 is.
func scan(options []option, typed []string, first bool) (v values, words []string, help bool, err error) {
	v = values{}
	for i := 0; i < len(typed); i++ {
		word := typed[i]
		o, value, valued, ok := find(options, word)
		switch {
		case word == "--":
			return v, append(words, typed[i+1:]...), false, nil
		case len(word) < 2 || word[0] != '-', !ok && len(words) > 0:
			if words = append(words, word); first {
				return v, append(words, typed[i+1:]...), false, nil
			}
			continue
		case !ok && (word == "-h" || word == "-help" || word == "--help"):
			return v, nil, true, nil
		case !ok:
			return nil, nil, false, fmt.Errorf("flag provided but not defined: -%s", strings.TrimLeft(word, "-"))
		case o.placeholder == "":
			on := true
			if valued {
				if on, err = strconv.ParseBool(value); err != nil {
					return nil, nil, false, fmt.Errorf("invalid boolean value %q for -%s", value, o.names[0])
				}
			}
			value = strconv.FormatBool(on)
		case !valued:
			if i++; i == len(typed) {
				return nil, nil, false, fmt.Errorf("flag needs an argument: -%s", o.names[0])
			}
			value = typed[i]
		}
		v[o.names[0]] = append(v[o.names[0]], value)
	}
	return v, words, false, nil
}
