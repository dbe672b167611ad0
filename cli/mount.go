package cli

import (
	"context"

	"croft/cli/cmdline"
)

func (a *app) mountVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "mount", Group: groupInside, Args: "NAME... | --all", Words: stoppedNames,
		Summary:  "mount root filesystems of stopped VPSs, and print their paths",
		Examples: []string{"croft mount web"},
		About: `Gives access to the files of a VPS from the host. The parent directory is an OCI
bundle then, which any OCI runtime can run. A mounted VPS cannot start. Mounting
a mounted VPS succeeds.

File owners are shown as host ids: host id = id inside + ids.first of "croft
inspect".`,
		Options: []cmdline.Option{allOption("mount")},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			return forEach(ctx, i, "mount", func(ctx context.Context, m Manager, name string) error {
				dir, err := m.Mount(ctx, name)
				if err != nil {
					return err
				}
				return i.print(dir + "\n")
			})
		}),
	}
}

func (a *app) umountVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "umount", Group: groupInside, Args: "NAME... | --all", Words: stoppedNames,
		Summary:  "unmount root filesystems that croft mount mounted",
		Examples: []string{"croft umount web", "croft umount --all"},
		About: `Unmounting a VPS that is not mounted succeeds. A root filesystem with open files
stays mounted, and the command fails.`,
		Options:  []cmdline.Option{allOption("unmount")},
		Synonyms: []string{"unmount"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			return forEach(ctx, i, "unmount", func(ctx context.Context, m Manager, name string) error {
				return m.Umount(ctx, name)
			})
		}),
	}
}
