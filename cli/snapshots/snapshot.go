// Package snapshots has the commands for snapshots.
package snapshots

import (
	"context"
	"fmt"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/look"
	"croft/cli/options"
	"croft/cli/settings"
	"croft/cli/values"
	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime"
)

// SnapshotVerb returns the command snapshot.
func SnapshotVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "snapshot", Group: command.GroupLife, Args: "COMMAND",
		Summary:  "create, list, restore and delete snapshots of VPSs",
		Synonyms: []string{"snapshots", "snap"},
		Examples: []string{"croft snapshot create web before-upgrade", "croft snapshot restore web before-upgrade"},
		About: `A snapshot has the files and the settings of a VPS at one moment. A snapshot of a
stopped VPS takes no space at first and the same time for any size: the VPS shares its
files with the snapshot until it changes them. The files of a running VPS are copied
while it goes on; it stands still only while what has changed meanwhile is copied.

What is in mounts (volumes, directories of the host, tmpfs) and in memory is not part of
a snapshot, nor are console logs and the values of credentials.`,
		Verbs: []*cmdline.Verb{snapshotCreateVerb(a), snapshotListVerb(a), look.SnapshotDiffVerb(a), snapshotRestoreVerb(a), snapshotDeleteVerb(a), snapshotPruneVerb(a), snapshotMountVerb(a), snapshotUmountVerb(a), snapshotScheduleVerb(a)},
	}
}

func snapshotCreateVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "create", Args: "NAME [SNAPSHOT] | --all", Words: command.VPSNames,
		Summary:  "create a snapshot",
		Examples: []string{"croft snapshot create web", "croft snapshot create web before-upgrade --expire 7d", "croft snapshot create --all --expire 7d"},
		About: `Prints the name of the snapshot. The default is the time in UTC, as 20260131-235959.
For a running VPS it also prints on stderr how long the VPS stood still.`,
		Options: []cmdline.Option{
			{Name: "expire", Placeholder: "TIME", Usage: "\"croft snapshot prune\" deletes it after that time: 24h, 7d (default: never)"},
			{Name: "description", Placeholder: "TEXT", Usage: "one line about the snapshot for people"},
			command.AllHereOption("make a snapshot of"),
		},
		Synonyms: []string{"add", "take", "new"},
		Run:      a.Run(snapshotCreate),
	}
}

func snapshotCreate(ctx context.Context, i *command.Invocation) error {
	o := runtime.SnapshotOptions{Expire: command.Get(i, "expire", values.Keep), Description: command.Get(i, "description", options.DescriptionOrDefault)}
	if i.Has("expire") && o.Expire == 0 && i.Err == nil {
		return command.UsageError("--expire: invalid time 0 (for example 24h or 7d)")
	}
	if !i.Is("all") && len(i.Words) == 2 {
		o.Name, i.Words = i.Words[1], i.Words[:1]
		if err := vps.CheckSnapshot(o.Name); err != nil {
			return err
		}
	}
	if !i.Is("all") && len(i.Words) != 1 {
		return command.UsageError("snapshot create takes a NAME, and possibly the name of the SNAPSHOT")
	}
	i.OnlyHere = true
	return command.ForEach(ctx, i, "make a snapshot", func(ctx context.Context, m command.Manager, name vps.Name) error {
		n, err := m.CreateSnapshot(ctx, name, o)
		if err != nil {
			return err
		}
		if n.Running {
			i.Screen.Line(fmt.Sprintf("%s: it stood still for %d ms", name, n.PauseMilliseconds))
		}
		if i.Is("all") {
			return i.Print(string(name) + " " + n.Name + "\n")
		}
		return i.Print(n.Name + "\n")
	})
}

func snapshotListVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "list", Args: "[NAME...]", Words: command.VPSNames,
		Query:    true,
		Summary:  "list snapshots",
		Examples: []string{"croft snapshot list", "croft snapshot list web --format json"},
		About: `Lists the snapshots of the VPSs, or of all. Those of each VPS begin with the oldest.
MOUNTED is where "croft snapshot mount" has mounted it.`,
		Options: append(command.TableOptions("print everything about each snapshot as a JSON array"), cmdline.Option{Name: "quiet", Short: "q", Usage: "print only NAME@SNAPSHOT of each"}),
		Aliases: []string{"ls"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := command.OutputOf[runtime.SnapshotInfo](i)
			names, err := vpsWords(i)
			if err != nil {
				return err
			}
			m, err := i.Manager()
			if err != nil {
				return err
			}
			all, err := m.Snapshots(ctx, names...)
			if err != nil {
				return err
			}
			return command.PrintAll(o, all, snapshotTable(i, all))
		}),
	}
}

// vpsWords reads the words as names of VPSs.
func vpsWords(i *command.Invocation) ([]vps.Name, error) {
	var names []vps.Name
	for _, word := range i.Words {
		name, err := vps.ParseName(word)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

func snapshotTable(i *command.Invocation, all []runtime.SnapshotInfo) display.Table {
	t := display.Table{{"NAME", "SNAPSHOT", "CREATED", "EXPIRES", "WAS", "MOUNTED", "DESCRIPTION"}}
	if i.Is("quiet") {
		t = display.Table{{"NAME"}}
	}
	for _, n := range all {
		if n.Error != "" {
			i.Screen.Warn(string(n.VPS) + "@" + n.Name + ": " + n.Error)
		}
		row := []string{string(n.VPS) + "@" + n.Name}
		if !i.Is("quiet") {
			expires, was := "", "stopped"
			if n.Expires != nil {
				expires = display.Time(*n.Expires)
			}
			if n.Running {
				was = "running"
			}
			row = []string{string(n.VPS), n.Name, display.Time(n.Created), expires, was, strings.Join(n.Mounted, ","), n.Description}
		}
		t = append(t, row)
	}
	return t
}

func snapshotRestoreVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "restore", Harmful: true, Args: "NAME SNAPSHOT", Words: command.VPSNames, After: command.SnapshotsOfVPS,
		Summary:  "give a VPS the files and settings of a snapshot",
		Examples: []string{"croft snapshot restore web before-upgrade", "croft snapshot restore --files-only --restart web before-upgrade"},
		About: `The files that the VPS has now are deleted: make a snapshot first if you may need them.
The VPS must be stopped, unless --restart is given. Its settings become those of the
snapshot, too; its name, user ids, and the addresses of interfaces that it still has
stay.`,
		Options: []cmdline.Option{
			{Name: "files-only", Usage: "leave the settings as they are now"},
			{Name: "restart", Usage: "stop a running VPS first, and start it afterwards"},
		},
		Synonyms: []string{"rollback", "revert", "switch"},
		Run:      a.Run(snapshotRestore),
	}
}

// vpsAndSnapshot reads the words NAME SNAPSHOT.
func vpsAndSnapshot(i *command.Invocation, verb string) (vps.Name, string, error) {
	if len(i.Words) != 2 {
		return "", "", command.UsageError("snapshot %s takes a NAME and a SNAPSHOT", verb)
	}
	name, err := vps.ParseName(i.Words[0])
	if err == nil {
		err = vps.CheckSnapshot(i.Words[1])
	}
	return name, i.Words[1], err
}

func snapshotRestore(ctx context.Context, i *command.Invocation) error {
	name, snapshot, err := vpsAndSnapshot(i, "restore")
	if err != nil {
		return err
	}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	was, err := m.Inspect(ctx, name)
	if err == nil {
		_, err = m.SnapshotSettings(ctx, name, snapshot) // it exists
	}
	runs := err == nil && i.Is("restart") && was.Status != runtime.StatusStopped
	if runs {
		err = m.Stop(ctx, name, runtime.StopOptions{})
	}
	if err == nil {
		err = m.RestoreSnapshot(ctx, name, snapshot)
	}
	if err == nil && !i.Is("files-only") {
		err = restoreSettings(ctx, i, m, name, snapshot)
	}
	if err == nil && runs {
		err = m.Start(ctx, name, runtime.StartOptions{})
	}
	return command.Cannot("restore", string(name), err)
}

// restoreSettings gives the VPS the settings of the snapshot.
func restoreSettings(ctx context.Context, i *command.Invocation, m command.Manager, name vps.Name, snapshot string) error {
	then, err := m.SnapshotSettings(ctx, name, snapshot)
	if err != nil {
		return err
	}
	now, err := m.Settings(ctx, name)
	if err != nil {
		return err
	}
	have, want := settings.Of(now), settings.Of(then)
	for key := range have {
		if _, ok := want[key]; !ok {
			want[key] = nil
		}
	}
	edits, err := options.EditsOf(i, settings.File{Name: snapshot, Words: want}, settings.Changes(have, want))
	if err == nil && len(edits) > 0 {
		err = m.Change(ctx, name, edits...)
	}
	if err != nil {
		return &fail.Error{Kind: fail.KindOf(err), Msg: "it has the files of the snapshot, and not its settings: " + err.Error(), Err: err}
	}
	return nil
}

func snapshotDeleteVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "delete", Harmful: true, Args: "NAME SNAPSHOT...", Words: command.VPSNames, After: command.SnapshotsOfVPS,
		Summary:  "delete snapshots",
		Examples: []string{"croft snapshot delete web before-upgrade"},
		About:    `Files that only these snapshots have are deleted. The VPS and its clones stay as they are.`,
		Aliases:  []string{"rm"},
		Synonyms: []string{"remove", "del", "destroy"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			if len(i.Words) < 2 {
				return command.UsageError("snapshot delete takes a NAME and SNAPSHOTs")
			}
			name, err := vps.ParseName(i.Words[0])
			if err != nil {
				return err
			}
			for _, n := range i.Words[1:] {
				if err := vps.CheckSnapshot(n); err != nil {
					return err
				}
			}
			m, err := i.Manager()
			if err != nil {
				return err
			}
			for _, n := range i.Words[1:] {
				if err := m.DeleteSnapshot(ctx, name, n); err != nil {
					return command.Cannot("delete the snapshot "+n+" of", string(name), err)
				}
			}
			return nil
		}),
	}
}

func snapshotPruneVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "prune", Harmful: true, Args: "[NAME...]", Words: command.VPSNames,
		Summary:  "delete snapshots that have expired",
		Examples: []string{"croft snapshot prune", "croft snapshot prune web"},
		About: `Deletes the snapshots of the VPSs, or of all, that were created with --expire and have
expired. Prints NAME@SNAPSHOT of each. Croft has no daemon: run it from a timer.`,
		Synonyms: []string{"expire", "clean"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			names, err := vpsWords(i)
			if err != nil {
				return err
			}
			m, err := i.Manager()
			if err != nil {
				return err
			}
			if len(names) == 0 {
				if names, err = m.Names(); err != nil {
					return err
				}
			}
			return command.TryEach(ctx, i, names, "prune snapshots", func(name vps.Name) error {
				deleted, err := m.PruneSnapshots(ctx, name)
				for _, n := range deleted {
					if e := i.Print(string(name) + "@" + n + "\n"); err == nil {
						err = e
					}
				}
				return err
			})
		}),
	}
}

// Snapshots returns the snapshots of the VPS on the line.
func Snapshots(o *command.Offers, c *cmdline.Completion) []cmdline.Candidate {
	m := o.Browse(c)
	if m == nil || len(c.Words) == 0 {
		return nil
	}
	name, err := vps.ParseName(c.Words[0])
	if err != nil {
		return nil
	}
	all, _ := m.Snapshots(context.Background(), name)
	var words []cmdline.Candidate
	for _, n := range all {
		words = append(words, cmdline.Candidate{Word: n.Name, About: strings.TrimSpace(display.Time(n.Created) + " " + n.Description)})
	}
	return words
}
