package cli

import (
	"bytes"
	"context"
	"path"
	"strings"

	"croft/cli/command"
	"croft/internal/vps"
)

// editFile lets the user edit a file of a VPS. word is NAME:PATH.
func editFile(ctx context.Context, i *command.Invocation, word string) error {
	name, file, _ := strings.Cut(word, ":")
	valid, err := vps.ParseName(name)
	if err != nil {
		return err
	}
	if file == "" {
		return command.UsageError("edit: the path after %s: is empty", name)
	}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	was, err := m.ReadText(ctx, valid, file)
	if err != nil {
		return command.Cannot("edit", word, err)
	}
	edited, kept, err := editText(i.App, "croft-"+name+"-*-"+shownName(file), was.Content)
	if err != nil {
		return command.Cannot("edit", word, err)
	}
	return command.Cannot("edit", word, afterEdit(ctx, kept, func(ctx context.Context) error {
		if bytes.Equal(edited, was.Content) {
			return nil
		}
		return m.WriteText(ctx, valid, file, was, edited)
	}))
}

// shownName is the end of the name of the text that the editor gets: editors tell the
// language of a text by that.
func shownName(file string) string {
	const most = 100 // of the 255 bytes of a name
	base := strings.Map(func(r rune) rune {
		if r == '*' || r == '/' {
			return '_'
		}
		return r
	}, path.Base(file))
	return base[max(0, len(base)-most):]
}
