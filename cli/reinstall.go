package cli

import (
	"context"
	"fmt"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/options"
	"croft/cli/values"
	"croft/internal/vps"
	"croft/runtime"
)

func reinstallVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "reinstall", Harmful: true, Group: command.GroupLife, Args: "NAME", Words: command.VPSNames,
		Summary: "give a stopped VPS the files of a template again",
		Examples: []string{
			"croft reinstall web", "croft reinstall web --template debian-13 --keep /home --keep /etc/ssh",
			"croft reinstall web --ssh-key admin.pub --no-snapshot",
		},
		About: `All files of the VPS are replaced with those of a template: without --template that is
the newest image of the name that its template has. Its settings stay: addresses, limits,
published ports, mounts, user ids, the host name. The next start is like the first one of a
new VPS. Users and passwords are files of the VPS, and have to be set again.

--keep names files and directories that stay exactly as they are. A directory that is kept
has no files of the new template. With /etc/ssh the VPS keeps its SSH host keys. User ids
in the kept files are numbers, and a new template may have other users.

croft does not ask for confirmation. It makes a snapshot named before-reinstall-TIME first,
and prints its name: "croft snapshot restore NAME before-reinstall-TIME" brings the former
files and the former template back. "croft snapshot prune" deletes it after 7 days. With
--no-snapshot the former files are deleted at once.

A VPS that runs, is protected or has a checkpoint is refused. The content of volumes and of
directories of the host is not changed. If the command is interrupted, the VPS has
its former files or the new ones.

` + options.AccessAbout,
		Options: append([]cmdline.Option{
			{Name: "template", Short: "t", Placeholder: "TEMPLATE", Usage: "the new template (default: the newest of the same name)", Kind: command.TemplateSources},
			{Name: "keep", Placeholder: "PATH[,...]", Many: true, Usage: "file or directory of the VPS that stays as it is; may be repeated"},
			{Name: "no-snapshot", Usage: "delete the former files at once"},
		}, options.FreshOptions()...),
		Synonyms: []string{"rebuild", "reset"},
		Run:      a.Run(reinstallVPS),
	}
}

func reinstallVPS(ctx context.Context, i *command.Invocation) error {
	o := runtime.ReinstallOptions{Template: command.Get(i, "template", values.TemplateOrImage), NoSnapshot: i.Is("no-snapshot")}
	for _, some := range command.GetMany(i, "keep", values.KeptPaths) {
		o.Keep = append(o.Keep, some...)
	}
	edits, what := options.FreshEdits(i), options.InsideOf(i, true)
	return command.ForOne(ctx, i, "reinstall", func(ctx context.Context, m command.Manager, name vps.Name) error {
		inside, err := options.InsideEdits(i, what)
		if err != nil {
			return err
		}
		o.Edits = append(edits, inside...)
		snapshot, err := m.Reinstall(ctx, name, o)
		if snapshot != "" {
			i.Screen.Line(fmt.Sprintf("%s: its former files are in the snapshot %s", name, snapshot))
		}
		return err
	})
}
