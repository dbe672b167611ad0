package template

import (
	"cmp"
	"context"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/recipe"
	"croft/template/rootfs"
)

// DeriveOptions are optional settings of Derive.
type DeriveOptions struct {
	Replace      bool // if the name exists, the old image becomes a former one
	KeepIdentity bool // keep the machine id, ssh host keys and similar files; by default each VPS gets its own
}

// Derive creates the template name and returns it: the image base and more layers with
// the files that the VPS with the root filesystem r has changed: one for each of its
// frozen layers, and one for its own files. Of a plain root filesystem the image has one
// layer with all files. Processes must not write to r meanwhile: a
// file that changes is an error. An existing name is fail.Taken unless o.Replace is set,
// a missing base is fail.NotFound. With SOURCE_DATE_EPOCH no file of the new layers and no date
// of the image is later than that, so the same files give the same digest. After an error the
// store has no new image.
func (s *Store) Derive(ctx context.Context, name, base string, r rootfs.Rootfs, o DeriveOptions) (Image, error) {
	said, isSaid, err := recipe.ParseSourceDate(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return Image{}, err
	}
	unlock, err := s.LockName(ctx, name)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	if err := s.checkFree(name, o.Replace); err != nil {
		return Image{}, err
	}
	from, err := s.Find(images.Ref{Digest: digest.Digest(base)})
	if err != nil {
		return Image{}, err
	}
	parts := r.Parts()
	from = from.Below(r)
	if len(from.Layers)+len(parts) > rootfs.MaxLayers {
		return Image{}, fail.New(fail.State, "it would have %d layers, and overlay mounts at most %d", len(from.Layers)+len(parts), rootfs.MaxLayers)
	}
	st, err := s.NewStage(ctx)
	if err != nil {
		return Image{}, err
	}
	defer st.Remove()
	s.Report(Update{Step: "packing changed files"})
	below := s.LowerDirs(from.Layers)
	var all []images.Layer
	for _, part := range parts {
		l, err := s.stageChanges(ctx, st, below, part, packing{keepIdentity: o.KeepIdentity, newest: said})
		if err != nil {
			return Image{}, err
		}
		all, below = append(all, l), append([]string{st.Path(images.LayerName(l.DiffID))}, below...)
	}
	now := time.Now()
	if isSaid && said.Before(now) {
		now = said
	}
	return s.commitDerived(ctx, st, from, all, derived{name: name, by: "croft template create " + name, image: func(im Image) Image {
		im.KeepsIdentity, im.Created = o.KeepIdentity, now
		im.Recipe, im.BuiltWith = "", images.BuildSettings{} // a build from the recipe would not have the changes
		return im
	}})
}

// packing says how changed files become a layer.
type packing struct {
	keepIdentity bool
	newest       time.Time // see layer.Packer
}

// derived says what is new in an image that has more layers than another one.
type derived struct {
	name   string
	by     string               // the command, for the history
	image  func(im Image) Image // returns the new facts
	labels map[string]string    // of the config, in addition
}

// stageChanges stages a layer of the topmost files of r, which are over the layers below.
func (s *Store) stageChanges(ctx context.Context, st *images.Stage, lower []string, r rootfs.Rootfs, how packing) (images.Layer, error) {
	below, err := rootfs.OpenOver(r, lower)
	if err != nil {
		return images.Layer{}, err
	}
	defer below.Close()
	return s.StageWritten(ctx, st, lower, nil, func(w io.Writer) error {
		return layer.HostError(rootfs.PackTop(ctx, r, st.Path("merged"), st.Path("shifted"), w, func(p *layer.Packer) {
			p.ResetIdentity, p.InLowerLayer, p.Newest = !how.keepIdentity, below.IsBelow, how.newest
		}))
	})
}

// commitDerived puts the image from into the store, with the layers added, the lowest
// first.
func (s *Store) commitDerived(ctx context.Context, st *images.Stage, from images.Stored, added []images.Layer, d derived) (Image, error) {
	var c oci.Image
	if err := s.ReadBlob(from.Config, &c); err != nil {
		return Image{}, err
	}
	blobs, size := slices.Clone(from.Manifest.Layers), from.Size
	if len(blobs) == 0 {
		c.RootFS.DiffIDs, c.History = nil, nil
	}
	for _, l := range added {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.DiffID)
		blobs, size = append(blobs, l.Blob), size+l.Size
	}
	found, err := s.DescribeLayers(st, c.RootFS.DiffIDs)
	if err != nil {
		return Image{}, err
	}
	im := from.Image
	im.Distribution, im.Release = cmp.Or(found.Distribution, im.Distribution), cmp.Or(found.Release, im.Release)
	if found.Init != im.Init {
		im.Init, im.ContainerEnv = found.Init, found.ContainerEnv
	}
	im.Size = size
	im = d.image(im)
	said := images.ConfigOf(im)
	labels := c.Config.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	for _, of := range images.LabelsOfOneImage() {
		delete(labels, of)
	}
	maps.Copy(labels, said.Config.Labels)
	maps.Copy(labels, d.labels)
	c.Config.Labels, c.Config.Env, c.Created = labels, im.Env, said.Created
	for range added { // the history has an entry for each layer
		c.History = append(c.History, oci.History{Created: said.Created, CreatedBy: d.by})
	}
	return s.CommitImage(ctx, st, d.name, c, blobs)
}
