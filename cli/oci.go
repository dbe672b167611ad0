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
		examples: []string{
			"croft oci run --bundle /srv/bundle web",
			"croft oci --root /run/user-oci list --format json",
		},
		about: ociAbout + " These options stand between \"oci\" and the command:\n\n" +
			strings.TrimSuffix(optionList(ociOptions()), "\n"),
	}
	for _, v := range oci.Verbs() {
		family.verbs = append(family.verbs, &verb{
			name: v.Name, args: v.Args, summary: v.Summary, examples: ociExamples(v.Examples), about: v.About, options: described(v.Options),
			foreign: true,
			run: func(context.Context, *invocation) error {
				return usageError("croft oci takes the options of an OCI runtime, and they follow the word oci").WithHint("croft help oci")
			},
		})
	}
	return family
}

const ociAbout = `The command line is that of runc, not that of croft's other commands. A link to
croft with the name croft-oci has only this command line.`

// ociOptions stand between oci and the command.
func ociOptions() []option { return described(oci.Options()) }

func ociExamples(all []string) []string {
	var examples []string
	for _, e := range all {
		examples = append(examples, "croft oci "+e)
	}
	return examples
}

func described(all []oci.Option) []option {
	var options []option
	for _, o := range all {
		options = append(options, option{name: o.Name, short: o.Short, placeholder: o.Placeholder, usage: o.Usage})
	}
	return options
}
