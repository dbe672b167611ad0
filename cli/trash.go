package cli

import (
	"context"
	"path/filepath"
	"time"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/values"
	"croft/internal/sizes"
	"croft/internal/vps"
	"croft/runtime"
)

// keepOption says how long destroyed VPSs can be restored.
func keepOption() cmdline.Option {
	return cmdline.Option{Name: "keep", Placeholder: "TIME", Usage: "how long the VPS can be restored: 24h, 7d; 0 deletes its files now (CROFT_TRASH; default: trash of croft.yaml, or 0)"}
}

// readKeep reads keepOption: the option, else the environment, else croft.yaml. An
// error is in i.Err.
func readKeep(i *command.Invocation) time.Duration {
	if i.Has("keep") || i.Getenv("CROFT_TRASH") != "" || i.Err != nil {
		return command.Setting(i, "keep", "CROFT_TRASH", values.Keep)
	}
	config, err := i.Config()
	if i.Err = err; err != nil {
		return 0
	}
	if text := config.Host[command.TrashKey]; text != "" {
		i.Supply(cmdline.Supplied{Name: "keep", Value: text, From: filepath.Join(i.ConfigDir(), "croft.yaml") + ": " + command.TrashKey})
	}
	return command.Get(i, "keep", values.Keep)
}

func trashVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "trash", Group: command.GroupLife, Args: "COMMAND",
		Summary: "list, restore and delete destroyed VPSs",
		Verbs:   []*cmdline.Verb{trashListVerb(a), trashRestoreVerb(a), trashEmptyVerb(a)},
	}
}

func trashListVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "list", Args: "[NAME...]", Words: command.TrashNames,
		Query:    true,
		Summary:  "list destroyed VPSs that can be restored",
		Examples: []string{"croft trash list"},
		About: `Lists the VPSs that were destroyed with --keep and have not expired, the newest of
a name first. SIZE is the disk space that their own files use; to measure that,
all of them are looked at.`,
		Options: append(command.TableOptions("print everything about each VPS as a JSON array"), cmdline.Option{Name: "quiet", Short: "q", Usage: "print only NAME@ID of each"}),
		Aliases: []string{"ls"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := command.OutputOf[runtime.TrashInfo](i)
			choices, err := trashChoices(i)
			if err != nil {
				return err
			}
			m, err := i.Manager()
			if err != nil {
				return err
			}
			all, err := m.Trash(ctx, choices...)
			if err != nil {
				return err
			}
			return command.PrintAll(o, all, trashTable(i, all))
		}),
	}
}

// trashTable has a line for each VPS. With --quiet it has what restore and empty take.
func trashTable(i *command.Invocation, all []runtime.TrashInfo) display.Table {
	t := display.Table{{"NAME", "ID", "DESTROYED", "EXPIRES", "SIZE", "TEMPLATE"}}
	if i.Is("quiet") {
		t = display.Table{{"NAME"}}
	}
	for _, v := range all {
		if v.Error != "" {
			i.Screen.Warn(string(v.Name) + "@" + v.ID + ": " + v.Error)
		}
		row := []string{string(v.Name) + "@" + v.ID}
		if !i.Is("quiet") {
			row = []string{string(v.Name), v.ID, display.Time(v.Destroyed), display.Time(v.Expires), sizes.Text(v.Disk), v.Template}
		}
		t = append(t, row)
	}
	return t
}

// trashChoices reads the words NAME or NAME@ID.
func trashChoices(i *command.Invocation) ([]runtime.TrashChoice, error) {
	var all []runtime.TrashChoice
	for _, word := range i.Words {
		c, err := runtime.ParseTrashChoice(word)
		if err != nil {
			return nil, command.UsageError("%w", err)
		}
		all = append(all, c)
	}
	return all, nil
}

func trashRestoreVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "restore", Args: "NAME[@ID] [NEW-NAME]", Words: command.TrashNames,
		Summary:  "restore a destroyed VPS",
		Examples: []string{"croft trash restore web", "croft trash restore web@3f9c web-2"},
		About: `The VPS has its files, settings, user ids, addresses and MAC addresses again, and
is stopped. Of several VPSs with the same name, the newest is restored, or the one
whose id begins with ID. NEW-NAME is for a name that another VPS has now.

An address or a published port that another VPS has now is an error, and nothing
is restored, unless --replace-taken is given. Prints the name of the VPS.`,
		Options: []cmdline.Option{
			{Name: "replace-taken", Usage: "restore it with free addresses in place of those that are taken now, and without published ports that are taken"},
		},
		Synonyms: []string{"undo", "recover", "undelete"},
		Run:      a.Run(trashRestore),
	}
}

func trashRestore(ctx context.Context, i *command.Invocation) error {
	if len(i.Words) < 1 || len(i.Words) > 2 {
		return command.UsageError("trash restore takes a NAME, and possibly a NEW-NAME")
	}
	c, err := runtime.ParseTrashChoice(i.Words[0])
	if err != nil {
		return command.UsageError("%w", err)
	}
	name := c.Name
	if len(i.Words) == 2 {
		if name, err = vps.ParseName(i.Words[1]); err != nil {
			return err
		}
	}
	o := runtime.RestoreOptions{Replace: i.Is("replace-taken")}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	if _, err := m.Restore(ctx, c, name, o); err != nil {
		return command.Cannot("restore", i.Words[0], err)
	}
	return i.Print(string(name) + "\n")
}

func trashEmptyVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "empty", Harmful: true, Args: "NAME[@ID]... | --all", Words: command.TrashNames,
		Summary:  "delete destroyed VPSs now",
		Examples: []string{"croft trash empty web", "croft trash empty --all"},
		About: `The files of these VPSs are deleted before they expire, and cannot be restored. A
NAME is every VPS in the trash that had this name; NAME@ID is one of them. If it
takes long, the files are deleted in the background.`,
		Options:  []cmdline.Option{command.AllOption("delete")},
		Synonyms: []string{"delete", "remove", "purge", "clear"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			if i.Is("all") == (len(i.Words) > 0) {
				return command.UsageError("trash empty: give NAMEs or --all")
			}
			choices, err := trashChoices(i)
			if err != nil {
				return err
			}
			m, err := i.Manager()
			if err != nil {
				return err
			}
			return m.DeleteTrash(ctx, choices...)
		}),
	}
}

// trash returns what trash restore and trash empty take.
func trash(o *command.Offers, c *cmdline.Completion) []cmdline.Candidate {
	m := o.Browse(c)
	if m == nil {
		return nil
	}
	kept, _ := m.TrashNames()
	count := map[vps.Name]int{}
	for _, k := range kept {
		count[k.Name]++
	}
	var all []cmdline.Candidate
	for _, k := range kept {
		all = append(all, cmdline.Candidate{Word: string(k.Name), About: "in the trash"})
		if count[k.Name] > 1 {
			all = append(all, cmdline.Candidate{Word: k.String(), About: "one of several in the trash"})
		}
	}
	return command.Sorted(all)
}
