package cli

import (
	"context"

	"croft/cli/cmdline"
	"croft/internal/vps"
)

func (a *app) renameVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "rename", Group: groupChange, Args: "NAME NEW-NAME", Words: stoppedNames,
		Summary:  "rename a stopped VPS",
		Examples: []string{"croft rename web www"},
		Synonyms: []string{"mv", "move", "ren"},
		About: `The VPS keeps its files, addresses, logs and published ports. Other VPSs reach it
by the new name at once. A host name that is the same as the old name changes
too; one that --hostname set does not.`,
		Run: a.run(func(ctx context.Context, i *invocation) error {
			switch len(i.Words) {
			case 0:
				return usageError("rename: no NAME given")
			case 1:
				return usageError("rename: no NEW-NAME given")
			case 2:
			default:
				return usageError("rename takes a NAME and a NEW-NAME; unexpected argument %q", i.Words[2])
			}
			old, new := i.Words[0], i.Words[1]
			if _, err := vps.ParseName(new); err != nil {
				return usageError("%w", err)
			}
			return forName(i, old, "rename", func(m Manager) error { return m.Rename(ctx, old, new) })
		}),
	}
}
