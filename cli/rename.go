package cli

import (
	"context"

	"croft/internal/vps"
)

func renameVerb() *verb {
	return &verb{
		name: "rename", group: groupChange, args: "NAME NEW-NAME", words: stoppedNames,
		summary:  "rename a stopped VPS",
		examples: []string{"croft rename web www"},
		synonyms: []string{"mv", "move", "ren"},
		about: `The VPS keeps its files, addresses, logs and published ports. Other VPSs reach it
by the new name at once. A host name that is the same as the old name changes
too; one that --hostname set does not.`,
		run: func(ctx context.Context, i *invocation) error {
			switch len(i.words) {
			case 0:
				return usageError("rename: no NAME given")
			case 1:
				return usageError("rename: no NEW-NAME given")
			case 2:
			default:
				return usageError("rename takes a NAME and a NEW-NAME; unexpected argument %q", i.words[2])
			}
			old, new := i.words[0], i.words[1]
			if _, err := vps.ParseName(new); err != nil {
				return usageError("%w", err)
			}
			return forName(i, old, "rename", func(m Manager) error { return m.Rename(ctx, old, new) })
		},
	}
}
