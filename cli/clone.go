package cli

import (
	"context"
	"slices"
	"strings"

	"croft/cli/cmdline"
	"croft/internal/vps"
)

func (a *app) cloneVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "clone", Group: groupLife, Args: "NAME[@SNAPSHOT] NEW-NAME", Words: cloneSources,
		Summary:  "create a VPS with the files and settings of another",
		Examples: []string{"croft clone web web-2", "croft clone web@before-upgrade test --memory 1G"},
		About: `The new VPS shares the files of the other until it changes them, so a clone of a stopped
VPS or of a snapshot takes no space at first and the same time for any size. The files
of a running VPS are copied, as for a snapshot. Either VPS can be destroyed without the
other.

The new VPS has user ids, addresses and MAC addresses of its own. It does not get
published ports, credentials and the protection. It has the host name of the other, or
its own name if that was the name of the other. The options change its settings, as
"croft set" does. Prints the new name.`,
		Options:  changeOptions(),
		Synonyms: []string{"duplicate", "fork"},
		Run:      a.run(clone),
	}
}

func clone(ctx context.Context, i *invocation) error {
	edits, what := setEdits(i), insideOf(i, true)
	if i.Err != nil {
		return i.Err
	}
	if len(i.Words) != 2 {
		return usageError("clone takes a NAME, or NAME@SNAPSHOT, and a NEW-NAME")
	}
	word, snapshot, of := strings.Cut(i.Words[0], "@")
	from, err := vps.ParseName(word)
	if err != nil {
		return err
	}
	if of {
		if err := vps.CheckSnapshot(snapshot); err != nil {
			return err
		}
	}
	to, err := vps.ParseName(i.Words[1])
	if err != nil {
		return err
	}
	m, err := i.manager()
	if err != nil {
		return err
	}
	inside, err := insideEdits(i, what)
	if err != nil {
		return err
	}
	if _, err := m.Clone(ctx, from, snapshot, to, slices.Concat(edits, inside)...); err != nil {
		return cannot("clone", i.Words[0], err)
	}
	return i.print(string(to) + "\n")
}

// cloneSources returns the VPSs and their snapshots.
func (o *offers) cloneSources(c *cmdline.Completion) []cmdline.Candidate {
	m := o.browse(c)
	if m == nil || len(c.Words) > 0 {
		return nil
	}
	all := o.names(c, vpsNames)
	snapshots, _ := m.Snapshots(context.Background())
	for _, n := range snapshots {
		all = append(all, cmdline.Candidate{Word: string(n.VPS) + "@" + n.Name, About: "its snapshot"})
	}
	return sorted(all)
}
