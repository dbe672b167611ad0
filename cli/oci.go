package cli

import (
	"context"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/oci"
)

// ociVerb tells of croft as an OCI runtime. It runs nothing: "croft oci" has
// a command line of its own, that of runc, and is sent there before this one
// is looked at.
func (a *app) ociVerb() *cmdline.Verb {
	family := &cmdline.Verb{
		Name: "oci", Group: groupHost, Args: "COMMAND",
		Summary: "run OCI bundles: croft as an OCI runtime",
		Examples: []string{
			"croft oci run --bundle /srv/bundle web",
			"croft oci --root /run/user-oci list --format json",
		},
		About: ociAbout + " These options stand between \"oci\" and the command:\n\n" +
			strings.TrimSuffix(cmdline.OptionList(ociOptions()), "\n"),
	}
	for _, v := range oci.Verbs() {
		family.Verbs = append(family.Verbs, &cmdline.Verb{
			Name: v.Name, Args: v.Args, Summary: v.Summary, Examples: ociExamples(v.Examples), About: v.About, Options: described(v.Options),
			Foreign: true,
			Run: a.run(func(context.Context, *invocation) error {
				return usageError("croft oci takes the options of an OCI runtime, and they follow the word oci").WithHint("croft help oci")
			}),
		})
	}
	return family
}

const ociAbout = `The command line is that of runc, not that of croft's other commands. A link to
croft with the name croft-oci has only this command line.`

// ociOptions stand between oci and the command.
func ociOptions() []cmdline.Option { return described(oci.Options()) }

func ociExamples(all []string) []string {
	var examples []string
	for _, e := range all {
		examples = append(examples, "croft oci "+e)
	}
	return examples
}

func described(all []oci.Option) []cmdline.Option {
	var options []cmdline.Option
	for _, o := range all {
		options = append(options, cmdline.Option{Name: o.Name, Short: o.Short, Placeholder: o.Placeholder, Usage: o.Usage})
	}
	return options
}
