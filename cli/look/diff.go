package look

import (
	"bufio"
	"context"
	"strconv"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/internal/vps"
	"croft/runtime"
)

// diffAbout is about the lines that diff prints.
const diffAbout = `Each line is a letter and a path: A was added, C has changed, D was deleted. A deleted
directory stands for everything in it. A file has changed if its content, owner, mode,
times or attributes have. A path with unusual characters is quoted. Files in mounts are
not compared.`

// DiffVerb returns the command diff.
func DiffVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "diff", Group: command.GroupLook, Args: "NAME", Words: command.VPSNames,
		Summary:  "list the files that a VPS has changed since its template",
		Examples: []string{"croft diff web", "croft diff web --json"},
		About:    diffAbout + ` "croft snapshot diff" compares with a snapshot.`,
		Options:  []cmdline.Option{command.JsonOption("print a JSON array of objects with kind and path")},
		Synonyms: []string{"changes"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			return command.ForOne(ctx, i, "compare", func(ctx context.Context, m command.Manager, name vps.Name) error {
				return printDiff(ctx, i, m, name, "", "")
			})
		}),
	}
}

// SnapshotDiffVerb returns the command snapshot diff.
func SnapshotDiffVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "diff", Args: "NAME SNAPSHOT [SNAPSHOT]", Words: command.VPSNames, After: command.SnapshotsOfVPS,
		Summary:  "list the files that have changed since a snapshot",
		Examples: []string{"croft snapshot diff web before-upgrade", "croft snapshot diff web before-upgrade after-upgrade"},
		About:    `Compares a snapshot with another one, or with the files that the VPS has now. ` + diffAbout,
		Options:  []cmdline.Option{command.JsonOption("print a JSON array of objects with kind and path")},
		Synonyms: []string{"compare"},
		Run:      a.Run(snapshotDiff),
	}
}

func snapshotDiff(ctx context.Context, i *command.Invocation) error {
	if len(i.Words) < 2 || len(i.Words) > 3 {
		return command.UsageError("snapshot diff takes a NAME and one or two SNAPSHOTs")
	}
	name, err := vps.ParseName(i.Words[0])
	if err != nil {
		return err
	}
	of := append(i.Words[1:], "")[:2]
	for _, n := range i.Words[1:] {
		if err := vps.CheckSnapshot(n); err != nil {
			return err
		}
	}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	return command.Cannot("compare", string(name), printDiff(ctx, i, m, name, of[0], of[1]))
}

func printDiff(ctx context.Context, i *command.Invocation, m command.Manager, name vps.Name, old, new string) error {
	if i.Is("json") {
		all := []runtime.FileChange{}
		err := m.Diff(ctx, name, old, new, func(c runtime.FileChange) error { all = append(all, c); return nil })
		if err != nil {
			return err
		}
		return command.Output{Invocation: i, Format: display.Format{Name: display.FormatJSON}}.PrintJSON(all)
	}
	w := bufio.NewWriter(i.Stdio.Out)
	err := m.Diff(ctx, name, old, new, func(c runtime.FileChange) error {
		_, err := w.WriteString(c.Kind + " " + pathText(c.Path) + "\n")
		return err
	})
	if e := w.Flush(); err == nil {
		err = e
	}
	return err
}

// pathText is a path from inside a VPS on one line.
func pathText(path string) string {
	if quoted := strconv.Quote(path); quoted != `"`+path+`"` && strings.ContainsFunc(path, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return quoted
	}
	return path
}
