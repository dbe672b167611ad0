package vps

import "slices"

// Publish publishes ports of the host. An entry that the VPS has already is a
// no-op.
type Publish struct{ Ports []Publication }

// Apply appends the new entries.
func (e Publish) Apply(v *VPS) error {
	for _, p := range e.Ports {
		if !slices.Contains(v.Published, p) {
			v.Published = append(v.Published, p)
		}
	}
	return nil
}

// Part is the published ports.
func (Publish) Part() Part { return PartPublished }

func (e Publish) String() string { return "publish " + texts(e.Ports) }

// Unpublish removes the chosen published ports. Every choice is about the list
// before the first removal. A choice of none is fail.NotFound, one of several
// fail.Usage.
type Unpublish struct{ Chosen []PublicationChoice }

// Apply removes the entries.
func (e Unpublish) Apply(v *VPS) error {
	all := v.Published
	numbers, err := positions(e.Chosen, func(c PublicationChoice) (int, error) { return c.in(all, v.Name) })
	v.Published = without(all, numbers, 0)
	return err
}

// Part is the published ports.
func (Unpublish) Part() Part { return PartPublished }

func (e Unpublish) String() string { return "unpublish " + texts(e.Chosen) }

// UnpublishAll removes all published ports.
type UnpublishAll struct{}

// Apply removes all entries.
func (UnpublishAll) Apply(v *VPS) error {
	v.Published = nil
	return nil
}

// Part is the published ports.
func (UnpublishAll) Part() Part { return PartPublished }

func (UnpublishAll) String() string { return "unpublish all" }
