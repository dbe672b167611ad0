package cli

import (
	"context"
	"croft/cli/display"
	"croft/runtime"
	"io"
	"time"
)

// An app is one run of the program.
type app struct {
	stdio   runtime.Stdio
	connect func(runtime.Options) (Manager, error)
	recipes cookbook
	getenv  func(string) string
	now     func() time.Time
	umask   int
	replace func(argv []string, umask int) error // by another program; returns after an error only
	atOnce  int                                  // limit of VPSs at the same time; 0 is the limit of the command

	typed  []string        // the command line without the program's name
	screen *display.Screen // stderr
	debug  bool

	// report prints an error about the command path, unless it has been printed.
	report func(path []string, err error)
}

// print writes a result.
func (a *app) print(text string) error {
	if _, err := io.WriteString(a.stdio.Out, text); err != nil {
		return display.WriteError(err)
	}
	return nil
}

// printJSON writes v as JSON.
func (a *app) printJSON(v any) error {
	text, err := display.JSON(v)
	if err != nil {
		return err
	}
	return a.print(text)
}

// whileRead is display.WhileRead for standard output.
func (a *app) whileRead(ctx context.Context, do func(context.Context) error) error {
	return display.WhileRead(ctx, a.stdio.Out, do)
}
