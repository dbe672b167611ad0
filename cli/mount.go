package cli

import "context"

func mountVerb() *verb {
	return &verb{
		name: "mount", group: groupInside, args: "NAME... | --all", words: stoppedNames,
		summary:  "mount root filesystems of stopped VPSs, and print their paths",
		examples: []string{"croft mount web"},
		about: `Gives access to the files of a VPS from the host. The parent directory is an OCI
bundle then, which any OCI runtime can run. A mounted VPS cannot start. Mounting
a mounted VPS succeeds.

File owners are shown as host ids: host id = id inside + ids.first of "croft
inspect".`,
		options: []option{allOption("mount")},
		run: func(ctx context.Context, i *invocation) error {
			return forEach(ctx, i, "mount", func(ctx context.Context, m Manager, name string) error {
				dir, err := m.Mount(ctx, name)
				if err != nil {
					return err
				}
				return i.print(dir + "\n")
			})
		},
	}
}

func umountVerb() *verb {
	return &verb{
		name: "umount", group: groupInside, args: "NAME... | --all", words: stoppedNames,
		summary:  "unmount root filesystems that croft mount mounted",
		examples: []string{"croft umount web", "croft umount --all"},
		about: `Unmounting a VPS that is not mounted succeeds. A root filesystem with open files
stays mounted, and the command fails.`,
		options:  []option{allOption("unmount")},
		synonyms: []string{"unmount"},
		run: func(ctx context.Context, i *invocation) error {
			return forEach(ctx, i, "unmount", func(ctx context.Context, m Manager, name string) error {
				return m.Umount(ctx, name)
			})
		},
	}
}
