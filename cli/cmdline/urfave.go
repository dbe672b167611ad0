package cmdline

import (
	"context"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// Run lets urfave/cli parse the line, which Read has put in order, and calls
// the Run of its verb. It returns the error of that.
func (l Line) Run(ctx context.Context, root *Verb) error {
	return app(root).RunContext(ctx, l.argv)
}

// app is the table for urfave/cli, without its defaults that print to stdout,
// end the process, or guess.
func app(root *Verb) *cli.App {
	app := &cli.App{
		Name:                      root.Name,
		Flags:                     root.flags(),
		HideHelp:                  true,
		HideVersion:               true,
		DisableSliceFlagSeparator: true, // a comma belongs to the value
		Writer:                    io.Discard,
		ErrWriter:                 io.Discard,
		ExitErrHandler:            func(*cli.Context, error) {}, // the program exits, in one place
		OnUsageError:              onUsageError,
		Action:                    func(*cli.Context) error { return usageError("no command given") },
	}
	for _, v := range root.Verbs {
		app.Commands = append(app.Commands, command(v, nil))
	}
	return app
}

func command(v *Verb, parents []string) *cli.Command {
	path := append(parents[:len(parents):len(parents)], v.Name)
	c := &cli.Command{
		Name:         v.Name,
		Flags:        v.flags(),
		HideHelp:     true,
		OnUsageError: onUsageError,
		Action: func(c *cli.Context) error {
			if v.Run == nil {
				return usageError("%s needs a command", strings.Join(path, " "))
			}
			return v.Run(c.Context, &Invocation{Verb: v, Path: path, Words: c.Args().Slice(), flags: c})
		},
	}
	for _, sub := range v.Verbs {
		c.Subcommands = append(c.Subcommands, command(sub, path))
	}
	return c
}

func onUsageError(_ *cli.Context, err error, _ bool) error { return usageError("%v", err) }

// flags are the verb's options for urfave/cli. They hold texts: Get parses a
// value, so that an error names the option.
func (v *Verb) flags() []cli.Flag {
	var flags []cli.Flag
	for _, o := range v.Options {
		switch {
		case !o.TakesValue():
			flags = append(flags, &cli.BoolFlag{Name: o.Name})
		case o.Many:
			flags = append(flags, &cli.StringSliceFlag{Name: o.Name})
		default:
			flags = append(flags, &cli.StringFlag{Name: o.Name})
		}
	}
	return flags
}
