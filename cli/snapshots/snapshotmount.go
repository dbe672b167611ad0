package snapshots

import (
	"context"
	"path/filepath"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/internal/vps"
)

func snapshotMountVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "mount", Args: "NAME SNAPSHOT DIR", Words: command.VPSNames, After: command.SnapshotsOfVPS,
		Summary:  "mount the files of a snapshot on a directory of the host",
		Examples: []string{"croft snapshot mount web before-upgrade /mnt"},
		About: `Shows the files that the VPS had, with those of its template, read-only, for example to
copy some of them or to back them up. The VPS may run. DIR must exist, and should be
a directory that only root can enter: file owners are shown with the ids that they
have inside, so user 1000 of the host may read what user 1000 of the VPS may read.

A snapshot that is mounted cannot be deleted. "croft snapshot umount" unmounts it, and
so does "croft destroy". Mounting it again on the same directory succeeds.`,
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			if len(i.Words) != 3 {
				return command.UsageError("snapshot mount takes a NAME, a SNAPSHOT and a DIR")
			}
			dir, err := filepath.Abs(i.Words[2])
			if err != nil {
				return err
			}
			i.Words = i.Words[:2]
			return oneSnapshot(i, "mount", func(m command.Manager, name vps.Name, snapshot string) error {
				return m.MountSnapshot(ctx, name, snapshot, dir)
			})
		}),
	}
}

func snapshotUmountVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "umount", Args: "NAME SNAPSHOT", Words: command.VPSNames, After: command.SnapshotsOfVPS,
		Summary:  "unmount a snapshot that croft snapshot mount mounted",
		Examples: []string{"croft snapshot umount web before-upgrade"},
		About: `Unmounts it from all directories. Unmounting a snapshot that is not mounted succeeds. A
snapshot with open files stays mounted, and the command fails.`,
		Synonyms: []string{"unmount"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			return oneSnapshot(i, "umount", func(m command.Manager, name vps.Name, snapshot string) error {
				return m.UmountSnapshot(ctx, name, snapshot)
			})
		}),
	}
}

// oneSnapshot calls do for the words NAME SNAPSHOT.
func oneSnapshot(i *command.Invocation, verb string, do func(m command.Manager, name vps.Name, snapshot string) error) error {
	name, snapshot, err := vpsAndSnapshot(i, verb)
	if err != nil {
		return err
	}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	return command.Cannot(verb+" the snapshot "+snapshot+" of", string(name), do(m, name, snapshot))
}
