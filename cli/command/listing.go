package command

import (
	"context"
	"strings"

	"croft/cli/cmdline"
)

// Listing reads the options of a verb that prints one table of objects, and returns
// the Manager too.
func Listing[T any](i *Invocation) (Output, Manager, error) {
	o, err := Listed[T](i)
	if err != nil {
		return o, nil, err
	}
	m, err := i.Manager()
	return o, m, err
}

// Listed is OutputOf for a verb without words.
func Listed[T any](i *Invocation) (Output, error) {
	if err := i.None(); err != nil {
		return Output{}, err
	}
	o := OutputOf[T](i)
	return o, i.Err
}

// QuietOption is --quiet for verbs that list names.
func QuietOption() cmdline.Option {
	return cmdline.Option{Name: "quiet", Short: "q", Usage: "print only the names"}
}

// EachWord is ForEach for templates and networks. parse checks each word first.
func EachWord(ctx context.Context, i *Invocation, act string, parse func(string) (string, error), do func(Manager, string) error) error {
	if len(i.Words) == 0 {
		return UsageError("%s: no NAME given", strings.Join(i.Path, " "))
	}
	for _, w := range i.Words {
		if w == "" {
			return UsageError("a name is empty")
		}
		if _, err := parse(w); err != nil {
			return UsageError("%w", err)
		}
	}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	return TryEach(ctx, i, i.Words, act, func(name string) error { return do(m, name) })
}
