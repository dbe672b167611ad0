package cmdline

import (
	"slices"
	"strings"
)

// A Candidate is a word that can stand in a place, with a text about it.
type Candidate struct{ Word, About string }

// FilesWord is the candidate that stands for all names of files.
const FilesWord = ":files"

// A Completion is one request of a shell for the words that can stand in
// a place.
type Completion struct {
	Verb  *Verb    // of the line; the root if it has none yet
	Words []string // of the line before the place
	Typed string   // the beginning of the word or value

	offer Offer
	line  *reader // the words before the last one, as far as they can be read
	last  string  // the word to complete
}

// An Offer returns the words of a kind that the program knows. Words that do
// not begin with c.Typed do no harm.
type Offer func(c *Completion, kind Kind) []Candidate

// Complete returns the words that the last of words can become. The words
// before it are complete. It returns nothing where it does not know: a completion
// must not disturb.
func Complete(root *Verb, words []string, offer Offer) []Candidate {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	c := &Completion{offer: offer, last: last, Typed: last}
	return slices.DeleteFunc(c.candidates(root, words[:len(words)-1]), func(found Candidate) bool {
		return found.Word != FilesWord && !strings.HasPrefix(found.Word, last)
	})
}

// Global returns the value of an option of every command; "" if the line does
// not have it.
func (c *Completion) Global(name string) string {
	value, _ := last(c.line.global, name)
	return value
}

// candidates returns all words that can stand after before.
func (c *Completion) candidates(root *Verb, before []string) []Candidate {
	if o, line, ok := pending(root, before); ok {
		c.at(line)
		return c.values(o)
	}
	c.at(newReader(root, before))
	if err := c.line.read(); err != nil {
		return nil
	}
	c.at(c.line)
	dashes := slices.Contains(before, "--")
	switch {
	case c.line.inCommand():
		return nil // the words of another command
	case !dashes && strings.HasPrefix(c.last, "--") && strings.Contains(c.last, "="):
		return c.attached()
	case !dashes && strings.HasPrefix(c.last, "-"):
		return c.options()
	case len(c.Verb.Verbs) > 0:
		return c.verbs(c.Verb)
	}
	return c.words()
}

func (c *Completion) at(line *reader) { c.line, c.Verb, c.Words = line, line.verb, line.words }

// pending returns the option that the last of words is if the next word is its
// value, and the words before it as a line.
func pending(root *Verb, words []string) (Option, *reader, bool) {
	if len(words) == 0 {
		return Option{}, nil, false
	}
	word := words[len(words)-1]
	name := strings.TrimLeft(word, "-")
	if name == word || strings.Contains(name, "=") {
		return Option{}, nil, false
	}
	l := newReader(root, words[:len(words)-1])
	if l.read() != nil || l.inCommand() || slices.Contains(words, "--") {
		return Option{}, nil, false
	}
	o, _, ok := l.find(name)
	return o, l, ok && o.TakesValue() && o.Implied == ""
}

// inCommand reports whether the next word belongs to a command to run inside,
// after the name of that command.
func (r *reader) inCommand() bool {
	return r.verb.Inside && (slices.Contains(r.all, "--") || len(r.words) > r.verb.Before)
}

// attached returns the words --NAME=VALUE of an option whose "=" has been typed.
func (c *Completion) attached() []Candidate {
	name, typed, _ := strings.Cut(c.last, "=")
	o, _, ok := c.line.find(strings.TrimPrefix(name, "--"))
	if !ok || !o.TakesValue() {
		return nil
	}
	c.Typed = typed
	return Prefixed(name+"=", c.values(o))
}

// Prefixed puts prefix before each word.
func Prefixed(prefix string, all []Candidate) []Candidate {
	for n := range all {
		if all[n].Word != FilesWord {
			all[n].Word = prefix + all[n].Word
		}
	}
	return all
}

func (c *Completion) options() []Candidate {
	var all []Candidate
	options := c.line.root.Shown()
	if c.Verb != c.line.root {
		options = slices.Concat(c.Verb.Shown(), options)
	}
	for _, o := range options {
		all = append(all, Candidate{"--" + o.Name, o.Usage})
		if o.Implied != "" { // its value has to stand behind a "="
			for _, value := range o.Choices {
				all = append(all, Candidate{"--" + o.Name + "=" + value, o.Usage})
			}
		}
	}
	return all
}

// verbs returns the commands of a family and, where it can stand, the NAME that
// they are about. Other names of a command come only when a letter has been typed.
func (c *Completion) verbs(family *Verb) []Candidate {
	var all []Candidate
	for _, v := range family.Verbs {
		all = append(all, Candidate{v.Name, v.Summary})
	}
	if family.Named && len(c.Words) == 0 {
		all = append(all, c.offer(c, family.Words)...)
	}
	if c.last == "" {
		return all
	}
	for _, v := range family.Verbs {
		for _, alias := range v.Aliases {
			all = append(all, Candidate{alias, v.Summary})
		}
		if family != c.line.root {
			continue
		}
		for _, sub := range v.Verbs {
			for _, alias := range sub.AtRoot {
				all = append(all, Candidate{alias, sub.Summary})
			}
		}
	}
	return all
}

// words returns the next words of a command: see docs/cli.md.
func (c *Completion) words() []Candidate {
	v, kind, typed := c.Verb, c.Verb.Words, c.Words
	switch {
	case v.Inside && len(typed) >= v.Before: // the name of a command inside
		return nil
	case kind == Commands:
		return c.commands()
	case len(typed) > 0 && !v.TakesMany():
		if kind = v.After; len(typed) >= v.fixedWords() && !strings.HasSuffix(v.Args, "...") {
			return nil
		}
		typed = typed[1:]
	}
	all := c.offered(kind)
	return slices.DeleteFunc(all, func(found Candidate) bool { return slices.Contains(typed, found.Word) })
}

// TakesMany reports whether all words of the verb are names of one kind.
func (v *Verb) TakesMany() bool { return strings.HasPrefix(strings.TrimPrefix(v.Args, "["), "NAME...") }

// fixedWords returns how many words the verb takes without optional ones: 2 or more.
func (v *Verb) fixedWords() int {
	fixed := slices.DeleteFunc(strings.Fields(v.Args), func(arg string) bool { return arg[0] == '[' })
	return max(2, len(fixed))
}

// commands returns the words of a command that can follow the words of the line.
func (c *Completion) commands() []Candidate {
	v := c.line.root
	for _, word := range c.Words {
		if v, _ = v.Find(word); v == nil {
			return nil
		}
	}
	return c.verbs(v)
}

func (c *Completion) offered(kind Kind) []Candidate {
	switch kind {
	case Anything:
		return nil
	case Files:
		return []Candidate{{Word: FilesWord}}
	}
	return c.offer(c, kind)
}

// values returns the values of an option.
func (c *Completion) values(o Option) []Candidate {
	switch {
	case len(o.Choices) > 0:
		return Bare(o.Choices)
	case slices.Contains([]string{"FILE", "DIR", "SOCKET"}, o.Placeholder):
		return []Candidate{{Word: FilesWord}}
	}
	return c.offered(o.Kind)
}

// Bare returns words that need no text about them.
func Bare(words []string) []Candidate {
	var all []Candidate
	for _, w := range words {
		all = append(all, Candidate{Word: w})
	}
	return all
}
