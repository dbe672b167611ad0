package oci

import (
	"fmt"
	"strings"
)

// A Verb is what there is to say about a command.
type Verb struct {
	Name, Args, Summary, About string
	Examples                   []string // what stands after "croft oci"
	Options                    []Option
}

// An Option is what there is to say about an option. One without a
// placeholder takes no value.
type Option struct{ Name, Short, Placeholder, Usage string }

// Verbs are all commands, for those who tell of them.
func Verbs() []Verb {
	var all []Verb
	for _, v := range verbs() {
		all = append(all, Verb{v.name, v.args, v.summary, v.about, v.examples, described(v.options)})
	}
	return all
}

// Options are those of all commands, which stand before the command.
func Options() []Option { return described(globalOptions()) }

func described(options []option) []Option {
	var all []Option
	for _, o := range options {
		if o.hidden {
			continue
		}
		d := Option{Name: o.names[0], Placeholder: o.placeholder, Usage: o.usage}
		if len(o.names) > 1 {
			d.Short = o.names[1]
		}
		all = append(all, d)
	}
	return all
}

// help is the help about the whole command line.
func help(program string) string {
	var out strings.Builder
	fmt.Fprintf(&out, `NAME:
   %s - Open Container Initiative runtime

USAGE:
   %s [global options] command [command options] [arguments...]

COMMANDS:
`, program, program)
	for _, v := range verbs() {
		fmt.Fprintf(&out, "   %-12s%s\n", v.name, v.summary)
	}
	fmt.Fprintf(&out, "\nGLOBAL OPTIONS:\n%s", optionList(globalOptions()))
	return out.String()
}

// help is the help about one verb.
func (v *verb) help(program string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "NAME:\n   %s %s - %s\n\nUSAGE:\n   %s %s", program, v.name, v.summary, program, v.name)
	if len(v.options) > 0 {
		out.WriteString(" [command options]")
	}
	fmt.Fprintf(&out, " %s\n", v.args)
	if len(v.examples) > 0 {
		fmt.Fprintf(&out, "\nEXAMPLES:\n")
		for _, e := range v.examples {
			fmt.Fprintf(&out, "   %s %s\n", program, e)
		}
	}
	if v.about != "" {
		fmt.Fprintf(&out, "\nDESCRIPTION:\n%s\n", indent(v.about))
	}
	if len(v.options) > 0 {
		fmt.Fprintf(&out, "\nOPTIONS:\n%s", optionList(v.options))
	}
	return out.String()
}

func optionList(options []option) string {
	var out strings.Builder
	for _, o := range options {
		if o.hidden {
			continue
		}
		var names []string
		for _, n := range o.names {
			if len(n) > 1 {
				n = "-" + n
			}
			if n = "-" + n; o.placeholder != "" {
				n += " " + o.placeholder
			}
			names = append(names, n)
		}
		fmt.Fprintf(&out, "   %-32s  %s\n", strings.Join(names, ", "), o.usage)
	}
	return out.String()
}

func indent(text string) string {
	return "   " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n   ")
}
