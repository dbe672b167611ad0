package runtime

import (
	"errors"
	"fmt"

	"croft/internal/inside"
	"croft/template"
)

// MountData mounts from outside and not by the bundle, so that root inside may
// unmount: what a namespace inherits is locked to it (mount_namespaces(7)).
func (hostGuests) MountData(p *inside.Process, dirs []template.DataDir) error {
	for _, d := range dirs {
		if err := p.MountOn(d.Path, d.Tree); err != nil && !errors.Is(err, inside.ErrNoPlace) {
			return fmt.Errorf("mount %s: %w", d.Path, err)
		}
	}
	return nil
}
