package cli

import (
	"context"
	"fmt"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/display"
	"croft/cli/settings"
	"croft/cli/values"
	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime"
)

func (a *app) snapshotVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "snapshot", Group: groupLife, Args: "COMMAND",
		Summary:  "create, list, restore and delete snapshots of VPSs",
		Synonyms: []string{"snapshots", "snap", "checkpoint"},
		Examples: []string{"croft snapshot create web before-upgrade", "croft snapshot restore web before-upgrade"},
		About: `A snapshot has the files and the settings of a VPS at one moment. A snapshot of a
stopped VPS takes no space at first and the same time for any size: the VPS shares its
files with the snapshot until it changes them. The files of a running VPS are copied
while it goes on; it stands still only while what has changed meanwhile is copied.

What is in mounts (volumes, directories of the host, tmpfs) and in memory is not part of
a snapshot, nor are console logs and the values of credentials.`,
		Verbs: []*cmdline.Verb{a.snapshotCreateVerb(), a.snapshotListVerb(), a.snapshotDiffVerb(), a.snapshotRestoreVerb(), a.snapshotDeleteVerb(), a.snapshotPruneVerb(), a.snapshotMountVerb(), a.snapshotUmountVerb(), a.snapshotScheduleVerb()},
	}
}

func (a *app) snapshotCreateVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "create", Args: "NAME [SNAPSHOT] | --all", Words: vpsNames,
		Summary:  "create a snapshot",
		Examples: []string{"croft snapshot create web", "croft snapshot create web before-upgrade --expire 7d", "croft snapshot create --all --expire 7d"},
		About: `Prints the name of the snapshot. The default is the time in UTC, as 20260131-235959.
For a running VPS it also prints on stderr how long the VPS stood still.`,
		Options: []cmdline.Option{
			{Name: "expire", Placeholder: "TIME", Usage: "\"croft snapshot prune\" deletes it after that time: 24h, 7d (default: never)"},
			{Name: "description", Placeholder: "TEXT", Usage: "one line about the snapshot for people"},
			allOption("make a snapshot of"),
		},
		Synonyms: []string{"add", "take", "new"},
		Run:      a.run(snapshotCreate),
	}
}

func snapshotCreate(ctx context.Context, i *invocation) error {
	o := runtime.SnapshotOptions{Expire: get(i, "expire", values.Keep), Description: get(i, "description", descriptionOrDefault)}
	if i.Has("expire") && o.Expire == 0 && i.Err == nil {
		return usageError("--expire: invalid time 0 (for example 24h or 7d)")
	}
	if !i.Is("all") && len(i.Words) == 2 {
		o.Name, i.Words = i.Words[1], i.Words[:1]
		if err := vps.CheckSnapshot(o.Name); err != nil {
			return err
		}
	}
	if !i.Is("all") && len(i.Words) != 1 {
		return usageError("snapshot create takes a NAME, and possibly the name of the SNAPSHOT")
	}
	return forEach(ctx, i, "make a snapshot", func(ctx context.Context, m Manager, name vps.Name) error {
		n, err := m.CreateSnapshot(ctx, name, o)
		if err != nil {
			return err
		}
		if n.Running {
			i.screen.Line(fmt.Sprintf("%s: it stood still for %d ms", name, n.PauseMilliseconds))
		}
		if i.Is("all") {
			return i.print(string(name) + " " + n.Name + "\n")
		}
		return i.print(n.Name + "\n")
	})
}

func (a *app) snapshotListVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "list", Args: "[NAME...]", Words: vpsNames,
		Query:    true,
		Summary:  "list snapshots",
		Examples: []string{"croft snapshot list", "croft snapshot list web --format json"},
		About:    `Lists the snapshots of the VPSs, or of all. Those of each VPS begin with the oldest.`,
		Options:  append(tableOptions("print everything about each snapshot as a JSON array"), cmdline.Option{Name: "quiet", Short: "q", Usage: "print only NAME@SNAPSHOT of each"}),
		Aliases:  []string{"ls"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			o := outputOf[runtime.SnapshotInfo](i)
			names, err := vpsWords(i)
			if err != nil {
				return err
			}
			m, err := i.manager()
			if err != nil {
				return err
			}
			all, err := m.Snapshots(ctx, names...)
			if err != nil {
				return err
			}
			return printAll(o, all, snapshotTable(i, all))
		}),
	}
}

// vpsWords reads the words as names of VPSs.
func vpsWords(i *invocation) ([]vps.Name, error) {
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

func snapshotTable(i *invocation, all []runtime.SnapshotInfo) display.Table {
	t := display.Table{{"NAME", "SNAPSHOT", "CREATED", "EXPIRES", "WAS", "DESCRIPTION"}}
	if i.Is("quiet") {
		t = display.Table{{"NAME"}}
	}
	for _, n := range all {
		if n.Error != "" {
			i.screen.Warn(string(n.VPS) + "@" + n.Name + ": " + n.Error)
		}
		row := []string{string(n.VPS) + "@" + n.Name}
		if !i.Is("quiet") {
			expires, was := "", "stopped"
			if n.Expires != nil {
				expires = timeText(*n.Expires)
			}
			if n.Running {
				was = "running"
			}
			row = []string{string(n.VPS), n.Name, timeText(n.Created), expires, was, n.Description}
		}
		t = append(t, row)
	}
	return t
}

func (a *app) snapshotRestoreVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "restore", Harmful: true, Args: "NAME SNAPSHOT", Words: vpsNames, After: snapshotsOfVPS,
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
		Run:      a.run(snapshotRestore),
	}
}

// vpsAndSnapshot reads the words NAME SNAPSHOT.
func vpsAndSnapshot(i *invocation, verb string) (vps.Name, string, error) {
	if len(i.Words) != 2 {
		return "", "", usageError("snapshot %s takes a NAME and a SNAPSHOT", verb)
	}
	name, err := vps.ParseName(i.Words[0])
	if err == nil {
		err = vps.CheckSnapshot(i.Words[1])
	}
	return name, i.Words[1], err
}

func snapshotRestore(ctx context.Context, i *invocation) error {
	name, snapshot, err := vpsAndSnapshot(i, "restore")
	if err != nil {
		return err
	}
	m, err := i.manager()
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
	return cannot("restore", string(name), err)
}

// restoreSettings gives the VPS the settings of the snapshot.
func restoreSettings(ctx context.Context, i *invocation, m Manager, name vps.Name, snapshot string) error {
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
	edits, err := editsOf(i, settings.File{Name: snapshot, Words: want}, settings.Changes(have, want))
	if err == nil && len(edits) > 0 {
		err = m.Change(ctx, name, edits...)
	}
	if err != nil {
		return &fail.Error{Kind: fail.KindOf(err), Msg: "it has the files of the snapshot, and not its settings: " + err.Error(), Err: err}
	}
	return nil
}

func (a *app) snapshotDeleteVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "delete", Harmful: true, Args: "NAME SNAPSHOT...", Words: vpsNames, After: snapshotsOfVPS,
		Summary:  "delete snapshots",
		Examples: []string{"croft snapshot delete web before-upgrade"},
		About:    `Files that only these snapshots have are deleted. The VPS and its clones stay as they are.`,
		Aliases:  []string{"rm"},
		Synonyms: []string{"remove", "del", "destroy"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			if len(i.Words) < 2 {
				return usageError("snapshot delete takes a NAME and SNAPSHOTs")
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
			m, err := i.manager()
			if err != nil {
				return err
			}
			for _, n := range i.Words[1:] {
				if err := m.DeleteSnapshot(ctx, name, n); err != nil {
					return cannot("delete the snapshot "+n+" of", string(name), err)
				}
			}
			return nil
		}),
	}
}

func (a *app) snapshotPruneVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "prune", Harmful: true, Args: "[NAME...]", Words: vpsNames,
		Summary:  "delete snapshots that have expired",
		Examples: []string{"croft snapshot prune", "croft snapshot prune web"},
		About: `Deletes the snapshots of the VPSs, or of all, that were created with --expire and have
expired. Prints NAME@SNAPSHOT of each. Croft has no daemon: run it from a timer.`,
		Synonyms: []string{"expire", "clean"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			names, err := vpsWords(i)
			if err != nil {
				return err
			}
			m, err := i.manager()
			if err != nil {
				return err
			}
			if len(names) == 0 {
				if names, err = m.Names(); err != nil {
					return err
				}
			}
			return tryEach(ctx, i, names, "prune snapshots", func(name vps.Name) error {
				deleted, err := m.PruneSnapshots(ctx, name)
				for _, n := range deleted {
					if e := i.print(string(name) + "@" + n + "\n"); err == nil {
						err = e
					}
				}
				return err
			})
		}),
	}
}

// snapshots returns the snapshots of the VPS on the line.
func (o *offers) snapshots(c *cmdline.Completion) []cmdline.Candidate {
	m := o.browse(c)
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
		words = append(words, cmdline.Candidate{Word: n.Name, About: strings.TrimSpace(timeText(n.Created) + " " + n.Description)})
	}
	return words
}
