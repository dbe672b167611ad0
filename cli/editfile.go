package cli

import (
	"bytes"
	"context"
	"path"
	"strings"

	"croft/internal/vps"
)

// editFile lets the user edit a file of a VPS. word is NAME:PATH.
func editFile(ctx context.Context, i *invocation, word string) error {
	name, file, _ := strings.Cut(word, ":")
	valid, err := vps.ParseName(name)
	if err != nil {
		return err
	}
	if file == "" {
		return usageError("edit: the path after %s: is empty", name)
	}
	m, err := i.manager()
	if err != nil {
		return err
	}
	was, err := m.ReadText(ctx, valid, file)
	if err != nil {
		return cannot("edit", word, err)
	}
	edited, kept, err := i.editText("croft-"+name+"-*-"+shownName(file), was.Content)
	if err != nil {
		return cannot("edit", word, err)
	}
	return cannot("edit", word, afterEdit(ctx, kept, func(ctx context.Context) error {
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
