package cli

import (
	"context"
	"slices"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/options"
	"croft/internal/vps"
	"croft/runtime"
)

func cloneVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "clone", Group: command.GroupLife, Args: "NAME[@SNAPSHOT] NEW-NAME", Words: command.CloneSources,
		Summary:  "create a VPS with the files and settings of another",
		Examples: []string{"croft clone web web-2", "croft clone web@before-upgrade test --memory 1G", "croft clone --full web web-2"},
		About: `The new VPS shares the files of the other until it changes them, so a clone of a stopped
VPS or of a snapshot takes no space at first and the same time for any size. The files
of a running VPS are copied, as for a snapshot. Either VPS can be destroyed without the
other.

With --full the new VPS shares no files with the other, so that the space of each is
its own. Its time and space depend on the files that the other has changed since its
template; a filesystem with reflinks (btrfs, xfs) shares the blocks of the copies. The
files of the template, which never change, are shared by all VPSs of it.

The new VPS has user ids, addresses and MAC addresses of its own. It does not get
published ports, credentials and the protection. It has the host name of the other, or
its own name if that was the name of the other. The options change its settings, as
"croft set" does. Prints the new name.`,
		Options: append(options.ChangeOptions(),
			cmdline.Option{Name: "full", Usage: "copy the files, and share only those of the template"}),
		Synonyms: []string{"duplicate", "fork"},
		Run:      a.Run(clone),
	}
}

func clone(ctx context.Context, i *command.Invocation) error {
	edits, what := options.SetEdits(i), options.InsideOf(i, true)
	if i.Err != nil {
		return i.Err
	}
	if len(i.Words) != 2 {
		return command.UsageError("clone takes a NAME, or NAME@SNAPSHOT, and a NEW-NAME")
	}
	o, err := cloneSource(i.Words[0])
	if err != nil {
		return err
	}
	o.Full = i.Is("full")
	to, err := vps.ParseName(i.Words[1])
	if err != nil {
		return err
	}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	inside, err := options.InsideEdits(i, what)
	if err != nil {
		return err
	}
	o.Edits = slices.Concat(edits, inside)
	if _, err := m.Clone(ctx, to, o); err != nil {
		return command.Cannot("clone", i.Words[0], err)
	}
	return i.Print(string(to) + "\n")
}

// cloneSource reads NAME or NAME@SNAPSHOT.
func cloneSource(text string) (runtime.CloneOptions, error) {
	from, snapshot, err := vpsOrSnapshot(text)
	return runtime.CloneOptions{From: from, Snapshot: snapshot}, err
}

// cloneSources returns the VPSs and their snapshots.
func cloneSources(o *command.Offers, c *cmdline.Completion) []cmdline.Candidate {
	m := o.Browse(c)
	if m == nil || len(c.Words) > 0 {
		return nil
	}
	all := o.Names(c, command.VPSNames)
	snapshots, _ := m.Snapshots(context.Background())
	for _, n := range snapshots {
		all = append(all, cmdline.Candidate{Word: string(n.VPS) + "@" + n.Name, About: "its snapshot"})
	}
	return command.Sorted(all)
}
