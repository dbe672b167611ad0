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

	flags *cli.Context
}

// Has reports whether the option was given.
func (i *Invocation) Has(name string) bool { return i.flags.IsSet(name) }

// Is reports whether an option that takes no value was given, and not as false.
func (i *Invocation) Is(name string) bool { return i.flags.Bool(name) }

// Text returns the last value of the option; "" if it was not given.
func (i *Invocation) Text(name string) string { return i.flags.String(name) }

// Texts returns all values of an option that may be repeated.
func (i *Invocation) Texts(name string) []string { return i.flags.StringSlice(name) }

// Set replaces the value of the option.
func (i *Invocation) Set(name, value string) error { return i.flags.Set(name, value) }

// Get parses the value of the option; it returns zero if the option was not
// given. The first error of all calls is kept in i.Err, with the option's name.
func Get[T any](i *Invocation, name string, parse func(string) (T, error)) T {
	if !i.Has(name) {
		var zero T
		return zero
	}
	return parsed(i, name, i.Text(name), parse)
}

// GetMany is Get for an option that may be repeated.
func GetMany[T any](i *Invocation, name string, parse func(string) (T, error)) []T {
	var all []T
	for _, s := range i.Texts(name) {
		all = append(all, parsed(i, name, s, parse))
	}
	return all
}

func parsed[T any](i *Invocation, name, s string, parse func(string) (T, error)) T {
	var value T
	err := errors.New("it is empty")
	if s != "" {
		value, err = parse(s)
	}
	if err != nil && i.Err == nil {
		i.Err = usageError("--%s: %w", name, err)
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
