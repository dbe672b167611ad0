package cmdline

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// Help returns the help about the verb at path; about the whole program if path
// is empty.
func Help(root *Verb, path []string) string {
	v := root.At(path)
	if v == root {
		return rootHelp(root)
	}
	var out strings.Builder
	command, rest := Usage(root, path)
	fmt.Fprintf(&out, "Usage: %s\n\n%s.\n", strings.TrimSpace(command+" "+rest), Capital(v.Summary))
	if len(v.Examples) > 0 {
		fmt.Fprintf(&out, "\nExamples:\n  %s\n", strings.Join(v.Examples, "\n  "))
	}
	if names := OtherNames(root, v, path); len(names) > 0 {
		fmt.Fprintf(&out, "\nAliases: %s\n", strings.Join(names, ", "))
	}
	for p := range Paragraphs(v.About) {
		if p.Verbatim {
			fmt.Fprintf(&out, "\n%s\n", p.Text)
			continue
		}
		fmt.Fprintf(&out, "\n%s\n", wrapWords(strings.Fields(p.Text), helpWidth, ""))
	}
	if len(v.Verbs) > 0 {
		fmt.Fprintf(&out, "\nCommands:\n%s", verbList(v.Verbs))
	}
	if options := v.Shown(); len(options) > 0 {
		fmt.Fprintf(&out, "\nOptions:\n%s", OptionList(options))
	}
	fmt.Fprintf(&out, "\n\"%s help\" lists the options of every command and the exit statuses.\n", root.Name)
	return out.String()
}

// helpWidth is the longest line of help.
const helpWidth = 79

// A Paragraph is a part of the text about a command. Lines that begin with
// a space are a list or an example, and are printed unchanged.
type Paragraph struct {
	Text     string
	Verbatim bool
}

// Paragraphs returns the paragraphs of a text. Empty lines separate them.
func Paragraphs(text string) iter.Seq[Paragraph] {
	return func(yield func(Paragraph) bool) {
		for p := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
			if p != "" && !yield(Paragraph{p, strings.HasPrefix(p, " ")}) {
				return
			}
		}
	}
}

// Usage returns the usage line of the command at path: its name, and the rest. The
// commands of a family about one VPS are documented with its NAME first.
func Usage(root *Verb, path []string) (command, rest string) {
	v, words := root, append([]string{root.Name}, path...)
	args := ""
	for n, name := range path {
		family := v.Named
		if v = v.Verb(name); family {
			words = slices.Insert(words, n+1, "NAME")
			args = strings.TrimSpace(strings.TrimPrefix(v.Args, "NAME"))
			continue
		}
		args = v.Args
	}
	if len(v.Shown()) > 0 {
		args = "[OPTIONS] " + args
	}
	return strings.Join(words, " "), strings.TrimSpace(args)
}

// OtherNames returns the other command lines for the verb v at path.
func OtherNames(root, v *Verb, path []string) []string {
	var names []string
	for _, alias := range v.Aliases {
		words := append(slices.Clone(path[:len(path)-1]), alias)
		names = append(names, root.Name+" "+strings.Join(words, " "))
	}
	for _, alias := range v.AtRoot {
		names = append(names, root.Name+" "+alias)
	}
	return names
}

func rootHelp(root *Verb) string {
	var out strings.Builder
	fmt.Fprintf(&out, "Usage: %s [OPTIONS] COMMAND [OPTIONS] [NAME...]\n\n%s.\n", root.Name, Capital(root.Summary))
	group := ""
	for i := 0; i < len(root.Verbs); {
		group = root.Verbs[i].Group
		var of []*Verb
		for ; i < len(root.Verbs) && root.Verbs[i].Group == group; i++ {
			of = append(of, root.Verbs[i])
		}
		fmt.Fprintf(&out, "\n%s:\n%s", group, verbList(of))
	}
	fmt.Fprintf(&out, "\nOptions of every command:\n%s", OptionList(root.Shown()))
	return out.String() + "\n" + root.Closing
}

func verbList(verbs []*Verb) string {
	width := 0
	for _, v := range verbs {
		width = max(width, len(v.Name))
	}
	var out strings.Builder
	for _, v := range verbs {
		fmt.Fprintf(&out, "  %-*s  %s\n", max(width, 10), v.Name, v.Summary)
	}
	return out.String()
}

// OptionList returns the options as help shows them, a line or two each.
func OptionList(options []Option) string {
	const column = 31
	var out strings.Builder
	for _, o := range options {
		left := "  " + o.Typed()
		pad := column - utf8.RuneCountInString(left)
		if pad < 2 {
			left, pad = left+"\n", column
		}
		indent := strings.Repeat(" ", column)
		fmt.Fprintf(&out, "%s%s%s\n", left, strings.Repeat(" ", pad), wrapWords(strings.Fields(o.Usage), helpWidth-column, indent))
	}
	return out.String()
}

// Typed returns how a user types an option: "-m, --memory SIZE".
func (o Option) Typed() string {
	text := "--" + o.Name
	if o.Short != "" {
		text = "-" + o.Short + ", " + text
	}
	if o.Also != "" {
		text += ", --" + o.Also
	}
	switch {
	case o.Implied != "":
		text += "[=" + o.Placeholder + "]"
	case o.TakesValue():
		text += " " + o.Placeholder
	}
	return text
}

// Capital returns s with a capital first letter.
func Capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

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
