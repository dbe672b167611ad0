package cli

import (
	"context"
	"strings"

	"croft/cli/oci"
)

// ociVerb tells of croft as an OCI runtime. It runs nothing: "croft oci" has
// a command line of its own, that of runc, and is sent there before this one
// is looked at.
func ociVerb() *verb {
	family := &verb{
		name: "oci", group: groupHost, args: "COMMAND",
		summary: "run OCI bundles: croft as an OCI runtime",
		about: `Its command line is runc's, not that of croft's other commands. Under the name
croft-oci the program has that command line alone. These options stand between
oci and the command:

` + strings.TrimSuffix(optionList(described(oci.Options())), "\n"),
	}
	for _, v := range oci.Verbs() {
		family.verbs = append(family.verbs, &verb{
			name: v.Name, args: v.Args, summary: v.Summary, about: v.About, options: described(v.Options),
			foreign: true,
			run: func(context.Context, *invocation) error {
				return usageError("croft oci takes the options of an OCI runtime, and they follow the word oci").WithHint("croft help oci")
			},
		})
	}
	return family
}

func described(all []oci.Option) []option {
	var options []option
	for _, o := range all {
		options = append(options, option{name: o.Name, short: o.Short, placeholder: o.Placeholder, usage: o.Usage})
	}
	return options
}
