package cli

import (
	"context"

	"croft/runtime"
)

func templateCreateVerb() *verb {
	return &verb{
		name: "create", args: "NAME",
		summary: "make a template of a VPS",
		about: `It is what the VPS was made from and what it has changed since, as one more
layer: owners, modes, extended attributes, capabilities and hard links included.
A running VPS stands still until it is done. Its machine-id, ssh host keys and
random seeds are left out: each VPS created from the template gets its own.
Prints the new template as NAME@DIGEST.`,
		options: []option{
			{name: "from", placeholder: "VPS", usage: "the VPS; needed", kind: vpsNames},
			{name: "replace", usage: "a template of that name becomes a former one"},
			{name: "keep-identity", usage: "keep machine-id, ssh host keys and random seeds"},
		},
		synonyms: []string{"commit", "snapshot"},
		run: func(ctx context.Context, i *invocation) error {
			vps := get(i, "from", parseName)
			if vps == "" && i.err == nil {
				i.err = usageError("template create: --from VPS says what it is made of")
			}
			o := runtime.TemplateCreate{Replace: i.flags.Bool("replace"), KeepIdentity: i.flags.Bool("keep-identity")}
			return oneTemplate(i, "create", func(m Manager, name string) error {
				image, err := m.CreateTemplate(ctx, name, vps, o)
				if err != nil {
					return err
				}
				return i.print(image.Name + "@" + image.Digest + "\n")
			})
		},
	}
}
