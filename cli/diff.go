package cli

import (
	"bufio"
	"context"
	"strconv"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/display"
	"croft/internal/vps"
	"croft/runtime"
)

// diffAbout is about the lines that diff prints.
const diffAbout = `Each line is a letter and a path: A was added, C has changed, D was deleted. A deleted
directory stands for everything in it. A file has changed if its content, owner, mode,
times or attributes have. A path with unusual characters is quoted. Files in mounts are
not compared.`

func (a *app) diffVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "diff", Group: groupLook, Args: "NAME", Words: vpsNames,
		Summary:  "list the files that a VPS has changed since its template",
		Examples: []string{"croft diff web", "croft diff web --json"},
		About:    diffAbout + ` "croft snapshot diff" compares with a snapshot.`,
		Options:  []cmdline.Option{jsonOption("print a JSON array of objects with kind and path")},
		Synonyms: []string{"changes"},
		Run: a.run(func(ctx context.Context, i *invocation) error {
			return forOne(ctx, i, "compare", func(ctx context.Context, m Manager, name vps.Name) error {
				return printDiff(ctx, i, m, name, "", "")
			})
		}),
	}
}

func (a *app) snapshotDiffVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "diff", Args: "NAME SNAPSHOT [SNAPSHOT]", Words: vpsNames, After: snapshotsOfVPS,
		Summary:  "list the files that have changed since a snapshot",
		Examples: []string{"croft snapshot diff web before-upgrade", "croft snapshot diff web before-upgrade after-upgrade"},
		About:    `Compares a snapshot with another one, or with the files that the VPS has now. ` + diffAbout,
		Options:  []cmdline.Option{jsonOption("print a JSON array of objects with kind and path")},
		Synonyms: []string{"compare"},
		Run:      a.run(snapshotDiff),
	}
}

func snapshotDiff(ctx context.Context, i *invocation) error {
	if len(i.Words) < 2 || len(i.Words) > 3 {
		return usageError("snapshot diff takes a NAME and one or two SNAPSHOTs")
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
	m, err := i.manager()
	if err != nil {
		return err
	}
	return cannot("compare", string(name), printDiff(ctx, i, m, name, of[0], of[1]))
}

func printDiff(ctx context.Context, i *invocation, m Manager, name vps.Name, old, new string) error {
	if i.Is("json") {
		all := []runtime.FileChange{}
		err := m.Diff(ctx, name, old, new, func(c runtime.FileChange) error { all = append(all, c); return nil })
		if err != nil {
			return err
		}
		return output{invocation: i, Format: display.Format{Name: display.FormatJSON}}.printJSON(all)
	}
	w := bufio.NewWriter(i.stdio.Out)
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
