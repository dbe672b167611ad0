package oci

import (
	"fmt"
	"strings"

	"croft/cli/cmdline"
)

// tableHelp returns the help about the whole command line, in the form of runc.
func tableHelp(program string, table *cmdline.Verb) string {
	var out strings.Builder
	fmt.Fprintf(&out, `NAME:
   %s - Open Container Initiative runtime

USAGE:
   %s [global options] command [command options] [arguments...]

COMMANDS:
`, program, program)
	for _, v := range table.Verbs {
		fmt.Fprintf(&out, "   %-12s%s\n", v.Name, v.Summary)
	}
	fmt.Fprintf(&out, "\nGLOBAL OPTIONS:\n%s", optionList(table.Options))
	return out.String()
}

// help returns the help about one verb, in the form of runc.
func help(program string, v *cmdline.Verb) string {
	var out strings.Builder
	fmt.Fprintf(&out, "NAME:\n   %s %s - %s\n\nUSAGE:\n   %s %s", program, v.Name, v.Summary, program, v.Name)
	if len(v.Options) > 0 {
		out.WriteString(" [command options]")
	}
	fmt.Fprintf(&out, " %s\n", v.Args)
	if len(v.Examples) > 0 {
		fmt.Fprintf(&out, "\nEXAMPLES:\n")
		for _, e := range v.Examples {
			fmt.Fprintf(&out, "   %s %s\n", program, e)
		}
	}
	if v.About != "" {
		fmt.Fprintf(&out, "\nDESCRIPTION:\n%s\n", indent(v.About))
	}
	if len(v.Options) > 0 {
		fmt.Fprintf(&out, "\nOPTIONS:\n%s", optionList(v.Options))
	}
	return out.String()
}

func optionList(options []cmdline.Option) string {
	var out strings.Builder
	for _, o := range options {
		if o.Hidden {
			continue
		}
		names, value := "--"+o.Name, ""
		if o.Placeholder != "" {
			value = " " + o.Placeholder
		}
		if names += value; o.Short != "" {
			names += ", -" + o.Short + value
		}
		fmt.Fprintf(&out, "   %-32s  %s\n", names, o.Usage)
	}
	return out.String()
}

func indent(text string) string {
	return "   " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n   ")
}
