package cli

import (
	"context"

	"croft/internal/vps"
	"croft/runtime"
)

func templateCreateVerb() *verb {
	return &verb{
		name: "create", args: "NAME",
		summary:  "create a template from a VPS",
		examples: []string{"croft template create web --from web1"},
		about: `The template has the layers of the VPS's template and one more with the changes of
the VPS: owners, modes, extended attributes, capabilities and hard links included.
A running VPS is frozen until the command ends. Its machine-id, ssh host keys and
random seeds are left out: each VPS created from the template gets its own.
Prints the new template as NAME@DIGEST.`,
		options: []option{
			{name: "from", placeholder: "VPS", usage: "VPS to create the template from; required", kind: vpsNames},
			replaceOption(),
			{name: "keep-identity", usage: "keep machine-id, ssh host keys and random seeds"},
		},
		synonyms: []string{"commit", "snapshot"},
		run: func(ctx context.Context, i *invocation) error {
			from := get(i, "from", vps.ParseName)
			if from == "" && i.err == nil {
				i.err = usageError("template create: no --from VPS given")
			}
			o := runtime.TemplateCreate{Replace: i.flags.Bool("replace"), KeepIdentity: i.flags.Bool("keep-identity")}
			return oneTemplate(i, "create", func(m Manager, name string) error {
				image, err := m.CreateTemplate(ctx, name, from, o)
				if err != nil {
					return err
				}
				return i.print(image.Name + "@" + image.Digest + "\n")
			})
		},
	}
}
