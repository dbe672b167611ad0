package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"croft/internal/vps"
	"croft/runtime"
)

// A candidate is a word that could stand where one is typed, and what it is.
type candidate struct{ word, about string }

// completeFiles is printed where the name of a file can stand.
const completeFiles = ":files"

// complete prints what the last of words can become, a line each: the word, a
// tab, and what it is. The words before it are finished. It prints nothing if it
// does not know: a completion must not disturb.
func (a *app) complete(root *verb, words []string) {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	c := completion{app: a, last: last}
	for _, found := range c.candidates(root, words[:len(words)-1]) {
		if found.word != completeFiles && !strings.HasPrefix(found.word, last) {
			continue
		}
		line := found.word
		if found.about != "" {
			line += "\t" + oneLine(found.about)
		}
		_, _ = io.WriteString(a.stdio.Out, line+"\n")
	}
}

// A completion is one request of a shell.
type completion struct {
	*app
	line *arranger // the words before the last, as far as they are read
	last string
	vpss []runtime.Info // see all
	read bool
}

// candidates are all words that could stand after before, of which last is the
// beginning.
func (c *completion) candidates(root *verb, before []string) []candidate {
	if o, line, ok := pending(root, before); ok {
		c.line = line
		return c.values(o, c.last)
	}
	c.line = newArranger(root, before)
	if err := c.line.read(); err != nil {
		return nil
	}
	v, dashes := c.line.verb, slices.Contains(before, "--")
	switch {
	case c.line.inCommand():
		return nil // the words of another command
	case !dashes && strings.HasPrefix(c.last, "--") && strings.Contains(c.last, "="):
		return c.attached()
	case !dashes && strings.HasPrefix(c.last, "-"):
		return c.options()
	case len(v.verbs) > 0:
		return c.verbs(v)
	case v.name == "policy" && len(c.line.words) > 0:
		return firewallPolicyWords(len(c.line.words) - 1)
	}
	return c.words(v)
}

// pending is the option that the last of words is, if the next one is its
// value, and the words before it as a line.
func pending(root *verb, words []string) (option, *arranger, bool) {
	if len(words) == 0 {
		return option{}, nil, false
	}
	word := words[len(words)-1]
	name := strings.TrimLeft(word, "-")
	if name == word || strings.Contains(name, "=") {
		return option{}, nil, false
	}
	l := newArranger(root, words[:len(words)-1])
	if l.read() != nil || l.inCommand() || slices.Contains(words, "--") {
		return option{}, nil, false
	}
	o, _, ok := l.find(name)
	return o, l, ok && o.takesValue() && o.implied == ""
}

// inCommand reports whether the next word is one of a command to run inside,
// after that command's name.
func (a *arranger) inCommand() bool {
	return a.verb.inside && (slices.Contains(a.all, "--") || len(a.words) > a.verb.before)
}

// attached are the words --NAME=VALUE of an option whose "=" has been typed.
func (c *completion) attached() []candidate {
	name, typed, _ := strings.Cut(c.last, "=")
	o, _, ok := c.line.find(strings.TrimPrefix(name, "--"))
	if !ok || !o.takesValue() {
		return nil
	}
	return prefixed(name+"=", c.values(o, typed))
}

func prefixed(prefix string, all []candidate) []candidate {
	for n := range all {
		if all[n].word != completeFiles {
			all[n].word = prefix + all[n].word
		}
	}
	return all
}

func (c *completion) options() []candidate {
	var all []candidate
	options := slices.Clone(c.line.root.options)
	if c.line.verb != c.line.root {
		options = slices.Concat(c.line.verb.options, options)
	}
	for _, o := range options {
		all = append(all, candidate{"--" + o.name, o.usage})
		if o.implied != "" { // its value has to stand behind a "="
			for _, value := range o.choices {
				all = append(all, candidate{"--" + o.name + "=" + value, o.usage})
			}
		}
	}
	return all
}

// verbs are the commands of a family, and if it may stand there the name of
// the VPS that they are about. Other names of a command are offered to those
// who have begun to type one.
func (c *completion) verbs(family *verb) []candidate {
	var all []candidate
	for _, v := range family.verbs {
		all = append(all, candidate{v.name, v.summary})
	}
	if family.named && len(c.line.words) == 0 {
		all = append(all, c.named(family.words)...)
	}
	if c.last == "" {
		return all
	}
	for _, v := range family.verbs {
		for _, alias := range v.aliases {
			all = append(all, candidate{alias, v.summary})
		}
		for _, sub := range v.verbs {
			for _, alias := range sub.atRoot {
				if family == c.line.root {
					all = append(all, candidate{alias, sub.summary})
				}
			}
		}
	}
	return all
}

// words are what can stand as the next word of a command: see docs/cli.md.
func (c *completion) words(v *verb) []candidate {
	kind, typed := v.words, c.line.words
	switch {
	case v.inside && len(typed) >= v.before: // the name of a command inside
		return nil
	case kind == commandNames:
		return c.commands(typed)
	case len(typed) > 0 && !takesMany(v):
		if kind = v.after; len(typed) > 1 && !strings.HasSuffix(v.args, "...") {
			return nil
		}
		typed = typed[1:]
	}
	return slices.DeleteFunc(c.named(kind), func(found candidate) bool { return slices.Contains(typed, found.word) })
}

// takesMany reports whether all words of a command are names alike.
func takesMany(v *verb) bool { return strings.HasPrefix(strings.TrimPrefix(v.args, "["), "NAME...") }

// commands are the words of a command that could follow those of typed.
func (c *completion) commands(typed []string) []candidate {
	v := c.line.root
	for _, word := range typed {
		if v, _ = v.find(word); v == nil {
			return nil
		}
	}
	return c.verbs(v)
}

// firewallPolicyWords are the n-th words after the NAME of firewall policy.
func firewallPolicyWords(n int) []candidate {
	switch n {
	case 0:
		return bare(vps.FirewallChains())
	case 1:
		return bare([]string{"accept", "drop"})
	}
	return nil
}

// bare are words that explain themselves.
func bare(words []string) []candidate {
	var all []candidate
	for _, w := range words {
		all = append(all, candidate{word: w})
	}
	return all
}

// values are what an option's value can be, of which typed is the beginning.
func (c *completion) values(o option, typed string) []candidate {
	switch {
	case len(o.choices) > 0:
		return bare(o.choices)
	case slices.Contains([]string{"FILE", "DIR", "SOCKET"}, o.placeholder):
		return []candidate{{word: completeFiles}}
	}
	all := c.named(o.kind)
	switch o.kind {
	case networkNames:
		all = append(all, candidate{"none", "loopback only"})
	case templateNames: // those that are built or made when they are asked for
		all = append(all, c.named(recipeNames)...)
		all = append(all, candidate{"busybox", "a small system in croft"})
	case listColumns:
		return columnCandidates(typed)
	case listFilters:
		return c.filters(typed)
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return strings.Compare(a.word, b.word) })
	return slices.CompactFunc(all, func(a, b candidate) bool { return a.word == b.word })
}

// columnCandidates complete the last of names that commas separate.
func columnCandidates(typed string) []candidate {
	before := typed[:strings.LastIndex(typed, ",")+1]
	names := slices.DeleteFunc(columnNames(), func(name string) bool {
		return slices.Contains(strings.Split(before, ","), name)
	})
	return prefixed(before, bare(names))
}

// filters complete KEY=VALUE, with the values that VPSs have now.
func (c *completion) filters(typed string) []candidate {
	key, value, hasKey := strings.Cut(typed, "=")
	var all []candidate
	if !hasKey {
		for _, name := range append(columnNames(), "label") {
			all = append(all, candidate{word: name + "="})
		}
		return all
	}
	for _, v := range c.all() {
		if key == "label" {
			for k, of := range v.Labels {
				if all = append(all, candidate{word: key + "=" + k}); strings.HasPrefix(value, k) {
					all = append(all, candidate{word: key + "=" + k + "=" + of})
				}
			}
		}
		for _, by := range columns() {
			if by.name != key {
				continue
			}
			for one := range strings.SplitSeq(by.text(vpsRow{Info: v}), ",") {
				all = append(all, candidate{word: key + "=" + one})
			}
		}
	}
	for _, one := range valuesOf(key) {
		all = append(all, candidate{word: key + "=" + one})
	}
	all = slices.DeleteFunc(all, func(found candidate) bool {
		return found.word == key+"=" || strings.ContainsAny(found.word, " \t\n")
	})
	slices.SortFunc(all, func(a, b candidate) int { return strings.Compare(a.word, b.word) })
	return slices.Compact(all)
}

// about says in a few words what a VPS is.
func about(v runtime.Info) string {
	if v.Template == "" {
		return string(v.Status)
	}
	return fmt.Sprintf("%s, %s", v.Status, v.Template)
}
