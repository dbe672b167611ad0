package guests

import (
	"fmt"
	"path"
	"strings"

	"croft/internal/inside"
	"croft/internal/vps"
	"croft/runtime/fit"
)

// Fit makes the steps of asked that g needs in a root filesystem, and returns their names.
// own are the files that the VPS has written. A file that cannot be changed is a warning.
func (Access) Fit(root *inside.Root, first uint32, own OwnDirs, g fit.Guest, asked vps.Fit) (done, warnings []string, err error) {
	changed, err := own.open()
	if err != nil {
		return nil, nil, err
	}
	defer changed.close()
	g.Root, g.Own = root.FS(), changed
	plan := fit.For(g, asked)
	for _, step := range plan {
		var failed []string
		for _, e := range step.Edits {
			if err := edit(root, first, e); err != nil {
				failed = append(failed, fmt.Sprintf("%s: %v", e.Path, err))
			}
		}
		if len(failed) > 0 {
			warnings = append(warnings, fmt.Sprintf("%s (--fit): %s", step.Name, strings.Join(failed, "; ")))
		}
	}
	return plan.Names(), warnings, nil
}

// edit makes one edit as the guest's root.
func edit(root *inside.Root, first uint32, e fit.Edit) error {
	by := inside.Owner{UID: first, GID: first}
	switch e.Action {
	case fit.Remove:
		return root.Remove(e.Path, first)
	case fit.Change:
		_, err := root.Rewrite(e.Path, 0o644, []byte(e.Content), by)
		return err
	case fit.Link:
		if err := root.MakeDirectory(path.Dir(e.Path), first); err != nil {
			return err
		}
		_, err := root.Relink(e.Path, e.Content, by)
		return err
	}
	return root.Replace(e.Path, e.Mode, []byte(e.Content), first)
}
