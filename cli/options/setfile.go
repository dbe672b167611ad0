package options

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/settings"
	"croft/internal/fail"
	"croft/internal/vps"
)

// maxSettings limits the size of a file that an option names, in bytes.
const maxSettings = 1 << 20

// ReadSettings reads the file of the option --file of set: "-" is standard input. Its
// values are checked too, without a VPS. Without the option the file is empty.
func ReadSettings(i *command.Invocation) (settings.File, error) {
	if !i.Has("file") {
		return settings.File{}, nil
	}
	text, err := readInput(i, "--file", i.Text("file"))
	if err != nil {
		return settings.File{}, err
	}
	f, err := settings.Parse(i.Text("file"), text)
	if err == nil {
		_, err = EditsOf(i, f, settings.Changes(settings.Words{}, f.Words))
	}
	return f, err
}

// readInput reads a file that an option names; "-" is standard input.
func readInput(i *command.Invocation, option, name string) ([]byte, error) {
	in := io.Reader(i.Stdio.In)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, command.UsageError("%s: %w", option, err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxSettings+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	case len(text) > maxSettings:
		return nil, command.UsageError("%s: %s is larger than %d bytes", option, name, maxSettings)
	}
	return text, nil
}

// EditsOf returns the edits that the options mean. Errors name the line of f.
func EditsOf(i *command.Invocation, f settings.File, options []settings.Option) ([]vps.Edit, error) {
	var supplied []cmdline.Supplied
	for _, o := range options {
		supplied = append(supplied, cmdline.Supplied{Name: o.Name, Value: o.Value, From: f.At(o.Key) + ": " + o.Key})
	}
	with := &command.Invocation{App: i.App, Invocation: i.With(supplied...), Place: i.Place}
	edits := SetEdits(with)
	inside, err := InsideEdits(with, InsideOf(with, true))
	return append(edits, inside...), err
}

// FileEdits returns the edits that give the VPS name the settings of f. Settings that
// only create can set must be those that it has.
func FileEdits(ctx context.Context, i *command.Invocation, m command.Manager, name vps.Name, f settings.File) ([]vps.Edit, error) {
	if len(f.Words) == 0 {
		return nil, nil
	}
	v, err := m.Settings(ctx, name)
	if err != nil {
		return nil, err
	}
	have := settings.Of(v)
	if fixed := settings.Fixed(have, f.Words); len(fixed) > 0 {
		return nil, fail.New(fail.Usage, "%s: %s of a VPS that exists cannot change", f.At(fixed[0]), strings.Join(fixed, ", "))
	}
	return EditsOf(i, f, settings.Changes(have, f.Words))
}
