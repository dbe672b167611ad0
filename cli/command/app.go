// Package command is what all commands share: the program around a command line, one
// VPS or many, results and errors, and the words that completion offers.
package command

import (
	"context"
	"io"
	"time"

	"croft/cli/display"
	"croft/runtime"
)

// An App is one run of the program.
type App struct {
	Stdio   runtime.Stdio
	Connect func(runtime.Options) (Manager, error)
	Recipes func(config string) Cookbook // those of the host with this directory of its configuration; "" is the default
	Getenv  func(string) string
	Now     func() time.Time
	Umask   int
	Replace func(argv []string, umask int) error                   // by another program; returns after an error only
	Child   func(argv []string, umask int) (status int, err error) // another program that ends with this one
	AtOnce  int                                                    // limit of VPSs at the same time; 0 is the limit of the command

	Line   []string        // the command line without the program's name
	Screen *display.Screen // stderr
	Debug  bool

	// Report prints an error about the command path, unless it has been printed.
	Report func(path []string, err error)
}

// Print writes a result.
func (a *App) Print(text string) error {
	if _, err := io.WriteString(a.Stdio.Out, text); err != nil {
		return display.WriteError(err)
	}
	return nil
}

// PrintJSON writes v as JSON.
func (a *App) PrintJSON(v any) error {
	text, err := display.JSON(v)
	if err != nil {
		return err
	}
	return a.Print(text)
}

// WhileRead is display.WhileRead for standard output.
func (a *App) WhileRead(ctx context.Context, do func(context.Context) error) error {
	return display.WhileRead(ctx, a.Stdio.Out, do)
}
