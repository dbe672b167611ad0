package cli

import (
	"context"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/oci"
)

// ociVerb tells of croft as an OCI runtime. It runs nothing: "croft oci" has
// a command line of its own, that of runc, and is sent there before this one
// is looked at.
func ociVerb(a *command.App) *cmdline.Verb {
	family := &cmdline.Verb{
		Name: "oci", Group: command.GroupHost, Args: "COMMAND",
		Summary: "run OCI bundles: croft as an OCI runtime",
		Examples: []string{
			"croft oci run --bundle /srv/bundle web",
			"croft oci --root /run/user-oci list --format json",
		},
		About: ociAbout + " These options stand between \"oci\" and the command:\n\n" +
			strings.TrimSuffix(cmdline.OptionList(ociOptions()), "\n"),
	}
	for _, v := range oci.Table().Verbs {
		v.Examples = ociExamples(v.Examples)
		v.Foreign, v.Inside = true, false
		v.Run = a.Run(func(context.Context, *command.Invocation) error {
			return command.UsageError("croft oci takes the options of an OCI runtime, and they follow the word oci").WithHint("croft help oci")
		})
		family.Verbs = append(family.Verbs, v)
	}
	return family
}

const ociAbout = `The command line is that of runc, not that of croft's other commands. A link to
croft with the name croft-oci has only this command line.`

// ociOptions returns the options that stand between oci and the command.
func ociOptions() []cmdline.Option { return oci.Table().Options }

func ociExamples(all []string) []string {
	var examples []string
	for _, e := range all {
		examples = append(examples, "croft oci "+e)
	}
	return examples
}
