package templates

import (
	"context"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/internal/vps"
	"croft/runtime"
)

func templateCreateVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "create", Args: "NAME",
		Summary:  "create a template from a VPS",
		Examples: []string{"croft template create web --from web1"},
		About: `The template has the layers of the VPS's template and one more with the changes of
the VPS: owners, modes, extended attributes, capabilities and hard links included.
A running VPS is frozen until the command ends. Its machine-id, ssh host keys and
random seeds are left out: each VPS created from the template gets its own. With
SOURCE_DATE_EPOCH in the environment, the same files give the same digest.
Prints the new template as NAME@DIGEST.`,
		Options: []cmdline.Option{
			{Name: "from", Placeholder: "VPS", Usage: "VPS to create the template from; required", Kind: command.VPSNames},
			replaceOption(),
			{Name: "keep-identity", Usage: "keep machine-id, ssh host keys and random seeds"},
		},
		Synonyms: []string{"commit", "snapshot"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			from := command.Get(i, "from", vps.ParseName)
			if from == "" && i.Err == nil {
				i.Err = command.UsageError("template create: no --from VPS given")
			}
			o := runtime.TemplateCreate{Replace: i.Is("replace"), KeepIdentity: i.Is("keep-identity")}
			return oneTemplate(i, "create", func(m command.Manager, name string) error {
				image, err := m.CreateTemplate(ctx, name, from, o)
				if err != nil {
					return err
				}
				return i.Print(image.Name + "@" + image.Digest + "\n")
			})
		}),
	}
}
