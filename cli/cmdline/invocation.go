package cmdline

import (
	"errors"
	"strings"

	"github.com/urfave/cli/v2"

	"croft/internal/fail"
)

// An Invocation is one command as it was typed.
type Invocation struct {
	Verb  *Verb
	Path  []string // of the verb: template build
	Words []string // without options
	Err   error    // about the first invalid option

	flags    *cli.Context
	supplied []Supplied
}

// Has reports whether the option was given.
func (i *Invocation) Has(name string) bool { return i.Typed(name) || len(i.suppliedTo(name)) > 0 }

// Is reports whether an option that takes no value was given, and not as false.
func (i *Invocation) Is(name string) bool {
	if i.Typed(name) {
		return i.flags.Bool(name)
	}
	all := i.suppliedTo(name)
	return len(all) > 0 && all[len(all)-1].Value == "yes"
}

// Text returns the last value of the option; "" if it was not given.
func (i *Invocation) Text(name string) string {
	all := i.values(name, false)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1].Value
}

// Texts returns all values of an option that may be repeated.
func (i *Invocation) Texts(name string) []string {
	var texts []string
	for _, v := range i.values(name, true) {
		texts = append(texts, v.Value)
	}
	return texts
}

// Set replaces the value of the option.
func (i *Invocation) Set(name, value string) error { return i.flags.Set(name, value) }

// Get parses the value of the option; it returns zero if the option was not
// given. The first error of all calls is kept in i.Err, with the option's name.
func Get[T any](i *Invocation, name string, parse func(string) (T, error)) T {
	all := i.values(name, false)
	if len(all) == 0 {
		var zero T
		return zero
	}
	return parsed(i, all[len(all)-1], parse)
}

// GetMany is Get for an option that may be repeated.
func GetMany[T any](i *Invocation, name string, parse func(string) (T, error)) []T {
	var all []T
	for _, v := range i.values(name, true) {
		all = append(all, parsed(i, v, parse))
	}
	return all
}

func parsed[T any](i *Invocation, v Supplied, parse func(string) (T, error)) T {
	var value T
	err := errors.New("it is empty")
	if v.Value != "" {
		value, err = parse(v.Value)
	}
	if err != nil && i.Err == nil {
		i.Err = usageError("%s: %w", v.From, err)
	}
	return value
}

// NotBoth refuses two options that contradict each other.
func (i *Invocation) NotBoth(a, b string) {
	if i.Err == nil && i.Has(a) && i.Has(b) {
		i.Err = usageError("--%s and --%s: one or the other", a, b)
	}
}

// OnlyWith refuses option a without option b, on which its meaning depends.
func (i *Invocation) OnlyWith(a, b string) {
	if i.Err == nil && i.Has(a) && !i.Has(b) {
		i.Err = usageError("--%s: only with --%s", a, b)
	}
}

// One returns the only word. An error calls it what.
func (i *Invocation) One(what string) (string, error) {
	switch len(i.Words) {
	case 1:
		return i.Words[0], nil
	case 0:
		return "", usageError("%s: no %s given", strings.Join(i.Path, " "), what)
	}
	return "", usageError("%s takes one %s; unexpected argument %q", strings.Join(i.Path, " "), what, i.Words[1])
}

// None refuses words.
func (i *Invocation) None() error {
	if len(i.Words) > 0 {
		return usageError("%s takes no argument; unexpected argument %q", strings.Join(i.Path, " "), i.Words[0])
	}
	return nil
}

// usageError is an error about the command line.
func usageError(format string, args ...any) *fail.Error {
	return fail.New(fail.Usage, format, args...)
}
