package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

func helpVerb() *verb {
	return &verb{
		name: "help", group: groupShell, args: "[COMMAND]",
		summary: "explain croft, or a command",
		run:     func(context.Context, *invocation) error { return nil }, // arrange has seen to it
	}
}

// helpOf is the help about the verb at path, the whole program if it is empty.
func helpOf(root *verb, path []string) string {
	v := root
	for _, name := range path {
		v = v.verb(name)
	}
	if v == root {
		return rootHelp(root)
	}
	var out strings.Builder
	usage := "croft " + strings.Join(path, " ")
	if len(v.options) > 0 {
		usage += " [OPTIONS]"
	}
	fmt.Fprintf(&out, "Usage: %s\n\n%s.\n", strings.TrimSpace(usage+" "+v.args), capital(v.summary))
	if names := otherNames(v, path); len(names) > 0 {
		fmt.Fprintf(&out, "\nAliases: %s\n", strings.Join(names, ", "))
	}
	if v.about != "" {
		fmt.Fprintf(&out, "\n%s\n", v.about)
	}
	if len(v.verbs) > 0 {
		fmt.Fprintf(&out, "\nCommands:\n%s", verbList(v.verbs))
	}
	if len(v.options) > 0 {
		fmt.Fprintf(&out, "\nOptions:\n%s", optionList(v.options))
	}
	out.WriteString("\n\"croft help\" has the options of every command, and the exit statuses.\n")
	return out.String()
}

// otherNames are the command lines that are short for the verb at path.
func otherNames(v *verb, path []string) []string {
	var names []string
	for _, alias := range v.aliases {
		words := append(slices.Clone(path[:len(path)-1]), alias)
		names = append(names, "croft "+strings.Join(words, " "))
	}
	for _, alias := range v.atRoot {
		names = append(names, "croft "+alias)
	}
	return names
}

func rootHelp(root *verb) string {
	var out strings.Builder
	fmt.Fprintf(&out, "Usage: croft [OPTIONS] COMMAND [OPTIONS] [NAME...]\n\n%s.\n", capital(root.summary))
	group := ""
	for i := 0; i < len(root.verbs); {
		group = root.verbs[i].group
		var of []*verb
		for ; i < len(root.verbs) && root.verbs[i].group == group; i++ {
			of = append(of, root.verbs[i])
		}
		fmt.Fprintf(&out, "\n%s:\n%s", group, verbList(of))
	}
	fmt.Fprintf(&out, "\nOptions of every command:\n%s", optionList(root.options))
	out.WriteString("\nOptions may stand before or after names. \"croft help COMMAND\" explains one.\n\nExit status:\n" + exitStatuses)
	return out.String()
}

// exitStatuses is docs/exit-codes.md in brief.
const exitStatuses = `  0  done                                 6  another command is busy with it
  1  a fault of croft's own               7  needs root or a capability
  2  the command line makes no sense      8  the host lacks something
  3  no such VPS, template, network       9  it did not happen in time
  4  the name or address is taken         128+n  ended by signal n
  5  it is in the wrong state for that
exec, enter and run exit as the command inside does; 125 is croft's own failure,
126 a command that cannot be executed, 127 one that is not there.
`

func verbList(verbs []*verb) string {
	width := 0
	for _, v := range verbs {
		width = max(width, len(v.name))
	}
	var out strings.Builder
	for _, v := range verbs {
		fmt.Fprintf(&out, "  %-*s  %s\n", max(width, 10), v.name, v.summary)
	}
	return out.String()
}

func optionList(options []option) string {
	const column = 31
	var out strings.Builder
	for _, o := range options {
		left := "  " + o.typed()
		pad := column - utf8.RuneCountInString(left)
		if pad < 2 {
			left, pad = left+"\n", column
		}
		indent := strings.Repeat(" ", column)
		fmt.Fprintf(&out, "%s%s%s\n", left, strings.Repeat(" ", pad), wrapWords(strings.Fields(o.usage), 79-column, indent))
	}
	return out.String()
}

// typed is how one types an option: "-m, --memory SIZE".
func (o option) typed() string {
	text := "--" + o.name
	if o.short != "" {
		text = "-" + o.short + ", " + text
	}
	if o.also != "" {
		text += ", --" + o.also
	}
	switch {
	case o.implied != "":
		text += "[=" + o.placeholder + "]"
	case o.takesValue():
		text += " " + o.placeholder
	}
	return text
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
