package cli

import (
	"context"
	"croft/cli/cmdline"
	"strings"
)

// listing reads the options of a verb that prints one table of objects, and returns
// the Manager too.
func listing[T any](i *invocation) (output, Manager, error) {
	o, err := listed[T](i)
	if err != nil {
		return o, nil, err
	}
	m, err := i.manager()
	return o, m, err
}

// listed is outputOf for a verb without words.
func listed[T any](i *invocation) (output, error) {
	if err := i.None(); err != nil {
		return output{}, err
	}
	o := outputOf[T](i)
	return o, i.Err
}

// quietOption is --quiet for verbs that list names.
func quietOption() cmdline.Option {
	return cmdline.Option{Name: "quiet", Short: "q", Usage: "print only the names"}
}

// eachWord is forEach for templates and networks. parse checks each word first.
func eachWord(ctx context.Context, i *invocation, act string, parse func(string) (string, error), do func(Manager, string) error) error {
	if len(i.Words) == 0 {
		return usageError("%s: no NAME given", strings.Join(i.Path, " "))
	}
	for _, w := range i.Words {
		if w == "" {
			return usageError("a name is empty")
		}
		if _, err := parse(w); err != nil {
			return usageError("%w", err)
		}
	}
	m, err := i.manager()
	if err != nil {
		return err
	}
	return tryEach(ctx, i, i.Words, act, func(name string) error { return do(m, name) })
}
