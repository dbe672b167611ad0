package cli

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	"golang.org/x/term"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime"
)

func cpVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "cp", Group: command.GroupInside, Args: "SOURCE DESTINATION", Words: cmdline.Files, After: cmdline.Files,
		Summary: "copy files between VPSs and the host",
		Examples: []string{
			"croft cp site/. web:/var/www/html",
			"croft cp web:/etc/nginx - | tar -t",
		},
		About: `SOURCE and DESTINATION are paths on the host, or NAME:PATH, a path in the VPS NAME.
"-" is a tar archive: on standard input, or on standard output. The VPSs may run.
A stopped one stays locked until the copy has ended. To copy a file of the host
with a colon in its name, write a "/" before the colon: ./a:b.

Directories are copied with everything in them, by the rules of cp(1): into a
DESTINATION that is a directory under their own name, or only their content if
SOURCE ends with "/.". Another DESTINATION becomes the new name. A link is copied as
a link. Links in paths are followed inside the VPS, and never lead out of it.

Owners, modes, times, hard links, holes, extended attributes and ACLs are kept.
Owners are numbers, those inside the VPS. Sockets, device nodes, and the content of
/proc and /sys are left out. Files that reach the host lose set-user-ID and
set-group-ID bits and capabilities: they came from a user of the VPS.`,
		Options: []cmdline.Option{
			{Name: "owner", Placeholder: "UID[:GID]", Usage: "owner of all files in DESTINATION (default: that of each file in SOURCE)"},
			{Name: "set-id", Usage: "keep set-user-ID bits, set-group-ID bits and capabilities of files on the host"},
			{Name: "archive", Short: "a", Usage: "keep owners, modes and times; accepted for consistency, croft always does"},
			{Name: "recursive", Short: "r", Usage: "copy directories; accepted for consistency, croft always does"},
		},
		Synonyms: []string{"copy", "pull"},
		Run:      a.Run(copyFiles),
	}
}

func copyFiles(ctx context.Context, i *command.Invocation) error {
	o := runtime.CopyOptions{SetID: i.Is("set-id")}
	if i.Has("owner") {
		owner := command.Get(i, "owner", parseOwner)
		o.Owner = &owner
	}
	if i.Screen.OnTerminal() {
		o.Progress = func(done int64) { i.Screen.Progress(display.Stage{Step: "copying", Done: done}) }
	}
	if i.Err != nil {
		return i.Err
	}
	if len(i.Words) != 2 {
		return command.UsageError("cp takes a SOURCE and a DESTINATION, got %d words", len(i.Words))
	}
	from, err1 := copyEnd(i.Words[0])
	to, err2 := copyEnd(i.Words[1])
	if err := cmp.Or(err1, err2); err != nil {
		return err
	}
	if from.VPS == "" && to.VPS == "" {
		return command.UsageError("cp: neither SOURCE nor DESTINATION is in a VPS").WithHint("croft help cp")
	}
	if i.Words[0] == "-" {
		from = runtime.CopyEnd{Reader: i.Stdio.In}
	}
	if i.Words[1] == "-" {
		if term.IsTerminal(int(i.Stdio.Out.Fd())) {
			return command.UsageError("cp: standard output is a terminal, and a tar archive is not for people")
		}
		to = runtime.CopyEnd{Writer: i.Stdio.Out}
	}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	err = m.Copy(ctx, from, to, o)
	if err == nil {
		return nil
	}
	return fail.New(fail.KindOf(err), "cannot copy %s to %s: %w", i.Words[0], i.Words[1], err).WithHint("%s", fail.HintOf(err))
}

// copyEnd reads NAME:PATH or the path of a file on the host. A colon after a
// slash belongs to a path.
func copyEnd(word string) (runtime.CopyEnd, error) {
	name, path, found := strings.Cut(word, ":")
	if !found || strings.Contains(name, "/") {
		name, path = "", word
	}
	if path == "" {
		return runtime.CopyEnd{}, command.UsageError("cp: a path is empty")
	}
	if name == "" {
		return runtime.CopyEnd{Path: path}, nil
	}
	valid, err := vps.ParseName(name)
	return runtime.CopyEnd{VPS: valid, Path: path}, err
}

// parseOwner reads UID or UID:GID. Without a GID the group is that of the number
// UID.
func parseOwner(s string) ([2]int, error) {
	user, group, found := strings.Cut(s, ":")
	if !found {
		group = user
	}
	var ids [2]int
	for n, text := range []string{user, group} {
		id, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return ids, command.UsageError("invalid owner %q (examples: 0, 1000:1000)", s)
		}
		ids[n] = int(id)
	}
	return ids, nil
}
