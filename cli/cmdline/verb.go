// Package cmdline reads command lines: that of croft, and that of croft as an
// OCI runtime, which is runc's.
//
// A command line is a table: a tree of verbs with their options, as values.
// The parser, help, manual pages and completion all come from that table. The
// package knows nothing of VPSs: the program offers words for completion, and
// gives each verb a function that runs it.
//
// urfave/cli parses a line after Read has put it in order, holds the values of
// its options and calls the verb: see docs/decisions/command-line.md.
package cmdline

import (
	"context"
	"slices"
)

// A Verb is one command, or a family of commands. The root of the table is a
// verb too: it has the options of every command.
type Verb struct {
	Name     string
	Args     string   // its words, as help shows them: "NAME..."
	Summary  string   // one line, as in a list of commands
	Examples []string // command lines that the program accepts, one or two
	About    string   // more for the user: paragraphs; lines that begin with a space are printed unchanged
	Closing  string   // the end of the help of the root
	Group    string   // the heading in the list of commands
	Aliases  []string // other accepted names
	AtRoot   []string // accepted names without the name of the family before: croft images
	Synonyms []string // names in other tools: a hint, not accepted
	Options  []Option
	Verbs    []*Verb // of a family
	Words    Kind    // kind of its words, for completion
	After    Kind    // kind of the words after a NAME

	// Style is how options are written. Only the root's counts.
	Style Style

	// Named says that a family is about one NAME, which may also stand before
	// the command: croft firewall web list.
	Named bool

	// Inside says that the last words are a command to run in the VPS. After
	// Before other words, all words belong to that command, options too.
	Inside bool
	Before int

	// Harmful says that the verb ends, stops or removes something. No hint
	// proposes it to a user who did not type it.
	Harmful bool

	// Query says that the verb reads only: it makes no directories for a root
	// that does not exist.
	Query bool

	// Here says that the verb runs on this host only: see Line.Elsewhere.
	Here bool

	// Foreign says that the verb belongs to another command line. This one only
	// documents it.
	Foreign bool

	// StatusInside says that the exit status is that of a command inside the
	// VPS. A failure of croft itself is 125 then.
	StatusInside bool
	Signals      Signals

	// Dashed is the option that takes -9 and -KILL as its value; "" if there is none.
	// IsDashed reports whether the text after the dash is such a value.
	Dashed   string
	IsDashed func(string) bool

	// Run runs the verb; nil for a family.
	Run func(context.Context, *Invocation) error
}

// Style is how options are written, and how errors about them are worded.
type Style int

const (
	// GNU is --name=value, -nvalue and several short options in one word.
	// Options of every command may stand anywhere.
	GNU Style = iota

	// GoFlags is the style of Go's package flag, and so of runc: -name and
	// --name are the same, and an option without a value may have one
	// (--force=false). Options of every command stand before the verb.
	GoFlags
)

// A Kind is the kind of thing that a word, or the value of an option, names. The
// program defines kinds from FirstKind on.
type Kind int

const (
	Anything  Kind = iota
	Commands       // words of this command line
	Files          // names of files, which the shell completes
	FirstKind      // of the program
)

// Signals is the effect of a signal to croft while the verb runs.
type Signals int

const (
	// Cancel: the first signal cancels the command, a second one ends croft at once.
	Cancel Signals = iota
	// PassOn: the runtime passes every signal on to the command inside.
	PassOn
	// CancelAndPassOn: the first signal cancels everything before the command
	// inside. That command gets all signals.
	CancelAndPassOn
)

// An Option is an option of a verb. An option without a placeholder takes no value.
type Option struct {
	Name        string // the long name
	Also        string // another long name
	Short       string
	Placeholder string
	Implied     string // the value without "="; "" if a value is required
	Dash        bool   // its value may begin with "-": --label -KEY
	Many        bool   // may be repeated
	Usage       string
	Hidden      bool     // accepted, not documented
	Here        bool     // of every command: not for the program on another host
	Kind        Kind     // of its value, for completion
	Choices     []string // all its values, for completion
}

// TakesValue reports whether the option takes a value.
func (o Option) TakesValue() bool { return o.Placeholder != "" }

// Option returns the option of v that has this name, long or short.
func (v *Verb) Option(name string) (Option, bool) {
	i := slices.IndexFunc(v.Options, func(o Option) bool { return name == o.Name || name == o.Also || name == o.Short })
	if i < 0 || name == "" {
		return Option{}, false
	}
	return v.Options[i], true
}

// Shown returns the options of v that are documented.
func (v *Verb) Shown() []Option {
	return slices.DeleteFunc(slices.Clone(v.Options), func(o Option) bool { return o.Hidden })
}

// Verb returns the verb of the family v that has this name; nil if there is none.
func (v *Verb) Verb(name string) *Verb {
	for _, sub := range v.Verbs {
		if sub.Name == name || slices.Contains(sub.Aliases, name) {
			return sub
		}
	}
	return nil
}

// Find is Verb that also knows the names that the verbs of other families have
// at the root. It returns the path to the verb too.
func (v *Verb) Find(name string) (*Verb, []string) {
	if sub := v.Verb(name); sub != nil {
		return sub, []string{sub.Name}
	}
	for _, family := range v.Verbs {
		for _, sub := range family.Verbs {
			if slices.Contains(sub.AtRoot, name) {
				return sub, []string{family.Name, sub.Name}
			}
		}
	}
	return nil, nil
}

// At returns the verb at path; nil if there is none.
func (v *Verb) At(path []string) *Verb {
	for _, name := range path {
		if v = v.Verb(name); v == nil {
			return nil
		}
	}
	return v
}
