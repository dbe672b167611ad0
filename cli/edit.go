package cli

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/options"
	"croft/cli/settings"
	"croft/internal/fail"
	"croft/internal/vps"
)

func editSettingsVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "edit", Group: command.GroupChange, Args: "NAME[:PATH]", Words: command.VPSNames,
		Summary:  "edit the settings of a VPS, or a file inside, in an editor",
		Examples: []string{"croft edit web", "croft edit web:/etc/nginx/nginx.conf"},
		About: `Opens the settings of the VPS as YAML in the editor of $VISUAL or $EDITOR, else vi.
When the editor ends, croft makes the changes as "croft set" does: all or none, at
once where a running VPS can follow. A key is an option of "croft set"; a line that
you remove restores the default. What another command changes meanwhile is kept,
unless you changed the same setting.

If the text has an error or a change is refused, nothing changes, and the message
names the file with your text. "croft set NAME --file FILE" makes the changes of
a file without an editor.

With NAME:PATH it opens the regular file PATH of the VPS, which may run or not. Links
are followed inside the VPS, and never lead out of it. The new text replaces the
file in one step. Owner, mode, extended attributes and ACLs stay. Nothing is written if the
editor fails, if the text is the same, or if the file has changed meanwhile.
"croft cp" copies other files.`,
		Signals: cmdline.PassOn,
		Run:     a.Run(edit),
	}
}

func edit(ctx context.Context, i *command.Invocation) error {
	if len(i.Words) == 1 && strings.Contains(i.Words[0], ":") {
		return editFile(ctx, i, i.Words[0])
	}
	return editSettings(ctx, i)
}

func editSettings(ctx context.Context, i *command.Invocation) error {
	return command.ForOne(ctx, i, "edit", func(ctx context.Context, m command.Manager, name vps.Name) error {
		v, err := m.Settings(ctx, name)
		if err != nil {
			return err
		}
		before, about := editable(name, settings.Of(v))
		text := settings.Text(before, about...)
		edited, path, err := editText(i.App, "croft-"+string(name)+"-*.yaml", text)
		if err != nil {
			return err
		}
		return afterEdit(ctx, path, func(ctx context.Context) error {
			if bytes.Equal(edited, text) {
				return nil
			}
			return changeTo(ctx, i, m, name, before, path, edited)
		})
	})
}

// editable returns the settings that an editor can change, and lines about the text
// for its user.
func editable(name vps.Name, words settings.Words) (settings.Words, []string) {
	can, fixed := settings.Words{}, []string{}
	for _, s := range settings.All() {
		switch w := words[s.Key]; {
		case s.Fixed && len(w) > 0:
			fixed = append(fixed, s.Key+" "+strings.Join(w, " "))
		case len(w) > 0:
			can[s.Key] = w
		}
	}
	return can, []string{
		fmt.Sprintf("The settings of %s. A key is an option of \"croft set\": see \"croft help set\".", name),
		"A line that you remove restores the default.",
		"Fixed: " + strings.Join(fixed, ", "),
	}
}

// changeTo makes the changes from the settings before to the edited text. A setting
// that is not in the text gets its default.
func changeTo(ctx context.Context, i *command.Invocation, m command.Manager, name vps.Name, before settings.Words, path string, edited []byte) error {
	f, err := settings.Parse(path, edited)
	if err != nil {
		return err
	}
	for key := range before {
		if _, ok := f.Words[key]; !ok {
			f.Words[key] = nil
		}
	}
	if fixed := settings.Fixed(before, f.Words); len(fixed) > 0 {
		return fail.New(fail.Usage, "%s: %s of a VPS that exists cannot change", f.At(fixed[0]), strings.Join(fixed, ", "))
	}
	edits, err := options.EditsOf(i, f, settings.Changes(before, f.Words))
	if err != nil || len(edits) == 0 {
		return err
	}
	return m.Change(ctx, name, edits...)
}
