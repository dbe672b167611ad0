package cli

import (
	"context"
	"fmt"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
)

func helpVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "help", Group: command.GroupShell, Here: true, Args: "[COMMAND]",
		Summary:  "show help for croft or a command",
		Examples: []string{"croft help create", "croft help template build"},
		Run:      a.Run(func(context.Context, *command.Invocation) error { return nil }), // dispatch prints help before
	}
}

// exitStatuses is docs/exit-codes.md in brief.
var exitStatuses = [][2]string{
	{"0", "success"},
	{"1", "internal error"},
	{"2", "usage error"},
	{"3", "no such VPS, template or network"},
	{"4", "the name or address is in use"},
	{"5", "wrong state, for example already running"},
	{"6", "busy with another command"},
	{"7", "needs root or a capability"},
	{"8", "the host lacks something"},
	{"9", "timed out"},
	{"10", "prevented by a hook of the administrator"},
	{"11", "the first-boot script failed"},
	{"12", "croft doctor has found a failure"},
	{"128+n", "ended by signal n"},
}

const exitStatusInside = `exec, enter and run exit with the status of the command inside; 125 means that
croft failed, 126 that the command cannot be executed, 127 that it is missing.`

// statusList is exitStatuses as help shows them.
func statusList() string {
	var out strings.Builder
	for _, s := range exitStatuses {
		fmt.Fprintf(&out, "  %-10s  %s\n", s[0], s[1])
	}
	return out.String() + exitStatusInside + "\n"
}

// grammarInBrief is docs/cli.md in brief.
const grammarInBrief = `Options may stand anywhere after COMMAND, before or after names, up to "--". The
options of every command may also stand before COMMAND. After "--" no word is an
option. With several names croft tries each of them, also if one fails.

"croft help COMMAND" shows the help for a command.`
