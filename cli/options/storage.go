package options

import (
	"context"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/internal/vps"
)

// StorageAbout is the help for verbs with these options.
const StorageAbout = `--storage says what the root filesystem is. An overlay shares the files of the
template, is created at once, and has only what the VPS changes. A plain tree is a copy
of all files, as on a machine without containers: directories of the template can be
renamed, Docker and Podman use overlay2 directly, and a release upgrade that merges
/usr works. Creating it takes the time of a copy, except on a filesystem with reflinks
(xfs, btrfs). "croft convert" gives a stopped VPS the other kind.`

// ConvertVerb returns the command convert.
func ConvertVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "convert", Group: command.GroupLife, Args: "NAME", Words: command.VPSNames,
		Summary:  "change the kind of a VPS's root filesystem",
		Examples: []string{"croft convert web --storage plain", "croft convert web --storage overlay"},
		About: StorageAbout + `

The VPS must be stopped. Its files and settings stay the same. All files are copied, and
there must be space for that. If the command is interrupted the VPS is as before. An
overlay that was a plain tree has a copy of all files over the template. Snapshots keep
the kind that they have, and a restore gives the VPS the kind of the snapshot.`,
		Options: []cmdline.Option{storageOption("the kind that it gets")},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			if !i.Has("storage") {
				return command.UsageError("convert needs --storage overlay or --storage plain")
			}
			to := command.Get(i, "storage", vps.ParseStorage)
			return command.ForOne(ctx, i, "convert", func(ctx context.Context, m command.Manager, name vps.Name) error {
				return m.Convert(ctx, name, to)
			})
		}),
	}
}

// storageOption is the option --storage.
func storageOption(usage string) cmdline.Option {
	return cmdline.Option{Name: "storage", Placeholder: "overlay|plain", Choices: vps.Storages(), Usage: usage}
}
