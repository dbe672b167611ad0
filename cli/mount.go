package cli

import "context"

func mountVerb() *verb {
	return &verb{
		name: "mount", group: groupInside, args: "NAME... | --all", words: vpsNames,
		summary: "mount the root filesystems of stopped VPSs, and print where",
		about: `It is for work on a VPS's files from the host. The directory that it is in is
then an OCI bundle, which any OCI runtime runs. A VPS cannot start while it is
mounted. One that is mounted already is success.

Ids of owners are those of the host: add the first of the VPS's ids to one of
inside (croft inspect says it).`,
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
		name: "umount", group: groupInside, args: "NAME... | --all", words: vpsNames,
		summary: "unmount what croft mount has mounted",
		about: `One that is not mounted is success. While something uses its files it is
refused, and stays mounted.`,
		options:  []option{allOption("unmount")},
		synonyms: []string{"unmount"},
		run: func(ctx context.Context, i *invocation) error {
			return forEach(ctx, i, "unmount", func(ctx context.Context, m Manager, name string) error {
				return m.Umount(ctx, name)
			})
		},
	}
}
