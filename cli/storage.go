package cli

import (
	"context"

	"croft/cli/cmdline"
	"croft/internal/vps"
)

const storageAbout = `--storage says what the root filesystem is. An overlay shares the files of the
template, is created at once, and has only what the VPS changes. A plain tree is a copy
of all files, as on a machine without containers: directories of the template can be
renamed, Docker and Podman use overlay2 directly, and a release upgrade that merges
/usr works. Creating it takes the time of a copy, except on a filesystem with reflinks
(xfs, btrfs). "croft convert" gives a stopped VPS the other kind.`

func (a *app) convertVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "convert", Group: groupLife, Args: "NAME", Words: vpsNames,
		Summary:  "change the kind of a VPS's root filesystem",
		Examples: []string{"croft convert web --storage plain", "croft convert web --storage overlay"},
		About: storageAbout + `

The VPS must be stopped. Its files and settings stay the same. All files are copied, and
there must be space for that. If the command is interrupted the VPS is as before. An
overlay that was a plain tree has a copy of all files over the template. Snapshots keep
the kind that they have, and a restore gives the VPS the kind of the snapshot.`,
		Options: []cmdline.Option{storageOption("the kind that it gets")},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			if !i.Has("storage") {
				return usageError("convert needs --storage overlay or --storage plain")
			}
			to := get(i, "storage", vps.ParseStorage)
			return forOne(ctx, i, "convert", func(ctx context.Context, m Manager, name vps.Name) error {
				return m.Convert(ctx, name, to)
			})
		}),
	}
}

// storageOption is the option --storage.
func storageOption(usage string) cmdline.Option {
	return cmdline.Option{Name: "storage", Placeholder: "overlay|plain", Choices: vps.Storages(), Usage: usage}
}
