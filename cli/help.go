package cli

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

func helpVerb() *verb {
	return &verb{
		name: "help", group: groupShell, args: "[COMMAND]",
		summary:  "show help for croft or a command",
		examples: []string{"croft help create", "croft help template build"},
		run:      func(context.Context, *invocation) error { return nil }, // arrange has seen to it
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
	command, rest := usage(root, path)
	fmt.Fprintf(&out, "Usage: %s\n\n%s.\n", strings.TrimSpace(command+" "+rest), capital(v.summary))
	if len(v.examples) > 0 {
		fmt.Fprintf(&out, "\nExamples:\n  %s\n", strings.Join(v.examples, "\n  "))
	}
	if names := otherNames(v, path); len(names) > 0 {
		fmt.Fprintf(&out, "\nAliases: %s\n", strings.Join(names, ", "))
	}
	for p := range paragraphs(v.about) {
		if p.verbatim {
			fmt.Fprintf(&out, "\n%s\n", p.text)
			continue
		}
		fmt.Fprintf(&out, "\n%s\n", wrapWords(strings.Fields(p.text), helpWidth, ""))
	}
	if len(v.verbs) > 0 {
		fmt.Fprintf(&out, "\nCommands:\n%s", verbList(v.verbs))
	}
	if len(v.options) > 0 {
		fmt.Fprintf(&out, "\nOptions:\n%s", optionList(v.options))
	}
	out.WriteString("\n\"croft help\" lists the options of every command and the exit statuses.\n")
	return out.String()
}

// helpWidth is how long a line of help may be.
const helpWidth = 79

// A paragraph of what help says about a command. Lines that begin with a space
// are a list or an example, which stays as it is.
type paragraph struct {
	text     string
	verbatim bool
}

// paragraphs are those of a text, which has empty lines between them.
func paragraphs(text string) iter.Seq[paragraph] {
	return func(yield func(paragraph) bool) {
		for p := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
			if p != "" && !yield(paragraph{p, strings.HasPrefix(p, " ")}) {
				return
			}
		}
	}
}

// usage is what one types for the command at path: its name, and the rest.
// The commands of a family about one VPS are documented with its NAME first.
func usage(root *verb, path []string) (command, rest string) {
	v, words := root, append([]string{"croft"}, path...)
	args := ""
	for n, name := range path {
		family := v.named
		if v = v.verb(name); family {
			words = slices.Insert(words, n+1, "NAME")
			args = strings.TrimSpace(strings.TrimPrefix(v.args, "NAME"))
			continue
		}
		args = v.args
	}
	if len(v.options) > 0 {
		args = "[OPTIONS] " + args
	}
	return strings.Join(words, " "), strings.TrimSpace(args)
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
	out.WriteString("\n" + grammarInBrief + "\n\nExit status:\n" + statusList())
	return out.String()
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
		fmt.Fprintf(&out, "%s%s%s\n", left, strings.Repeat(" ", pad), wrapWords(strings.Fields(o.usage), helpWidth-column, indent))
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

// wrapWords breaks words over lines of at most width, each but the first indented.
func wrapWords(words []string, width int, indent string) string {
	out, n := "", 0
	for _, w := range words {
		switch {
		case n == 0:
		case n+1+len(w) > width:
			out, n = out+"\n"+indent, 0
		default:
			out, n = out+" ", n+1
		}
		out, n = out+w, n+len(w)
	}
	return out
}
