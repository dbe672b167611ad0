package oci

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"croft/cli/cmdline"
)

// A line is one verb as it was typed, with the program around it.
type line struct {
	*program
	*cmdline.Invocation
}

// run returns the Run of a verb that takes at least least and at most most
// words; no limit if most is negative. The status that do returns becomes the
// exit status.
func (p *program) run(least, most int, do func(*line) (status int, err error)) func(context.Context, *cmdline.Invocation) error {
	return func(_ context.Context, typed *cmdline.Invocation) error {
		l := &line{p, typed}
		err := l.count(least, most)
		if err == nil {
			p.status, err = do(l)
		}
		return err
	}
}

// count refuses too few words and too many.
func (l *line) count(least, most int) error {
	n := len(l.Words)
	switch {
	case least == most && n != least:
		return fmt.Errorf("%s: %q requires exactly %d argument(s)", l.name, l.Verb.Name, least)
	case n < least:
		return fmt.Errorf("%s: %q requires a minimum of %d argument(s)", l.name, l.Verb.Name, least)
	case most >= 0 && n > most:
		return fmt.Errorf("%s: %q requires a maximum of %d argument(s)", l.name, l.Verb.Name, most)
	case n > 0 && l.Words[0] == "":
		return errors.New("container id cannot be empty")
	}
	return nil
}

// number returns the value of an option as a number; 0 if it was not given.
func (l *line) number(name string) (int, error) {
	if !l.Has(name) {
		return 0, nil
	}
	n, err := strconv.Atoi(l.Text(name))
	if err != nil {
		return 0, fmt.Errorf("invalid value %q for flag -%s: %w", l.Text(name), name, errors.Unwrap(err))
	}
	return n, nil
}
