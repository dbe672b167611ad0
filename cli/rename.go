package cli

import "context"

func renameVerb() *verb {
	return &verb{
		name: "rename", group: groupChange, args: "NAME NEW-NAME", words: vpsNames,
		summary:  "give a stopped VPS another name",
		synonyms: []string{"mv", "move", "ren"},
		about: `It keeps its files, addresses, logs, and what it has published; others on its
networks reach it by the new name at once. A hostname that is the old name
becomes the new one, one that was given stays.`,
		run: func(ctx context.Context, i *invocation) error {
			switch len(i.words) {
			case 0:
				return usageError("rename: no NAME given")
			case 1:
				return usageError("rename: no new name given")
			case 2:
			default:
				return usageError("rename: a name and a new one, not also %q", i.words[2])
			}
			old, new := i.words[0], i.words[1]
			if _, err := parseName(new); err != nil {
				return usageError("%w", err)
			}
			return forName(i, old, "rename", func(m Manager) error { return m.Rename(ctx, old, new) })
		},
	}
}
