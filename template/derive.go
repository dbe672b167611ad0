package template

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/layer"
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
// a missing base is fail.NotFound. After an error the store has no new image.
func (s *Store) Derive(ctx context.Context, name, base string, r rootfs.Rootfs, o DeriveOptions) (Image, error) {
	unlock, err := s.lockName(ctx, name)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	if err := s.checkFree(name, o.Replace); err != nil {
		return Image{}, err
	}
	from, err := s.find(ref{digest: digest.Digest(base)})
	if err != nil {
		return Image{}, err
	}
	parts := r.Parts()
	from = from.below(r)
	if len(from.Layers)+len(parts) > rootfs.MaxLayers {
		return Image{}, fail.New(fail.State, "it would have %d layers, and overlay mounts at most %d", len(from.Layers)+len(parts), rootfs.MaxLayers)
	}
	st, err := s.newStage(ctx)
	if err != nil {
		return Image{}, err
	}
	defer st.remove()
	s.progress(Update{Step: "packing changed files"})
	below := s.lowerDirs(from.Layers)
	var all []stagedLayer
	for _, part := range parts {
		l, err := s.stageChanges(ctx, st, below, part, o)
		if err != nil {
			return Image{}, err
		}
		all, below = append(all, l), append([]string{st.path(layerName(l.diffID))}, below...)
	}
	return s.commitDerived(ctx, st, name, from, all, o)
}

// stageChanges stages a layer of the topmost files of r, which are over the layers below.
func (s *Store) stageChanges(ctx context.Context, st *stage, lower []string, r rootfs.Rootfs, o DeriveOptions) (stagedLayer, error) {
	below, err := openOver(r, lower)
	if err != nil {
		return stagedLayer{}, err
	}
	defer below.Close()
	out, in := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := packTop(ctx, st, r, in, func(p *layer.Packer) {
			p.ResetIdentity, p.InLowerLayer = !o.KeepIdentity, below.IsBelow
		})
		in.CloseWithError(err)
		packed <- err
	}()
	l, err := s.stageLayer(ctx, st, out, lower, nil)
	out.CloseWithError(context.Canceled) // ends a packer that still writes
	if perr := <-packed; ctx.Err() != nil {
		return stagedLayer{}, ctx.Err()
	} else if perr != nil && (err == nil || fail.Is(err, fail.Usage)) {
		return stagedLayer{}, layer.HostError(perr) // an invalid archive is a result of this error
	}
	return l, err
}

// openOver opens the topmost files of r over the directories of lower. The caller closes
// them.
func openOver(r rootfs.Rootfs, lower []string) (t *layer.Tree, err error) {
	err = r.Within(func() error {
		t, err = layer.OpenLayers(r.Top(), lower)
		return err
	})
	return t, layer.HostError(err)
}

// openTop opens the directory of the topmost files of r. The caller closes it.
func openTop(r rootfs.Rootfs) (fd int, err error) {
	err = r.Within(func() error {
		fd, err = unix.Open(r.Top(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open %s: %w", r.Top(), err)
		}
		return nil
	})
	return fd, layer.HostError(err)
}

// commitDerived puts the image from into the store, with the layers added, the lowest
// first.
func (s *Store) commitDerived(ctx context.Context, st *stage, name string, from stored, added []stagedLayer, o DeriveOptions) (Image, error) {
	var c oci.Image
	if err := s.readBlob(from.config, &c); err != nil {
		return Image{}, err
	}
	blobs, size := slices.Clone(from.manifest.Layers), from.Size
	if len(blobs) == 0 {
		c.RootFS.DiffIDs, c.History = nil, nil
	}
	for _, l := range added {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.diffID)
		blobs, size = append(blobs, l.blob), size+l.size
	}
	found, err := s.describeLayers(st, c.RootFS.DiffIDs)
	if err != nil {
		return Image{}, err
	}
	im := from.Image
	im.Distribution, im.Release = cmp.Or(found.Distribution, im.Distribution), cmp.Or(found.Release, im.Release)
	if found.Init != im.Init {
		im.Init, im.ContainerEnv = found.Init, found.ContainerEnv
	}
	im.KeepsIdentity = o.KeepIdentity
	im.Recipe = "" // a build from the recipe would not have the changes
	im.Created, im.Size = time.Now(), size
	said := configOf(im)
	labels := c.Config.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	delete(labels, labelRecipe)
	delete(labels, labelContainerEnv)
	delete(labels, labelIdentity)
	for k, v := range said.Config.Labels {
		labels[k] = v
	}
	c.Config.Labels, c.Created = labels, said.Created
	for range added { // the history has an entry for each layer
		c.History = append(c.History, oci.History{Created: said.Created, CreatedBy: "croft template create " + name})
	}
	return s.commitImage(ctx, st, name, c, blobs)
}

// lazyMerged opens the merged view of a VPS's root filesystem on the first call:
// only renamed directories need it.
type lazyMerged struct {
	r    rootfs.Rootfs
	tree *layer.Tree // nil until the first call
}

// open opens the directory name in the merged view.
func (m *lazyMerged) open(name string) (int, error) {
	if m.tree == nil {
		var err error
		if m.tree, err = m.r.OpenMerged(); err != nil {
			return -1, err
		}
	}
	return m.tree.OpenPlain(name)
}

func (m *lazyMerged) close() {
	if m.tree != nil {
		m.tree.Close()
	}
}
