package template

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/nsthread"
)

// DeriveOptions is what Derive may be told.
type DeriveOptions struct {
	Replace      bool // a taken name goes to the new image; the old one becomes a former one
	KeepIdentity bool // machine id, ssh host keys and the like stay; else each VPS gets its own
}

// Derive makes the template name of the image base and what the VPS with the
// root filesystem r has changed, as one more layer. Nobody may write to r
// meanwhile: a file that changes is an error. A name that is taken is
// fail.Taken unless o.Replace, a base that is not there fail.NotFound.
func (s *Store) Derive(ctx context.Context, name, base string, r Rootfs, o DeriveOptions) (Image, error) {
	unlock, err := s.lockName(ctx, name)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	if err := s.free(name, o.Replace); err != nil {
		return Image{}, err
	}
	from, err := s.find(ref{digest: digest.Digest(base)})
	if err != nil {
		return Image{}, err
	}
	if len(from.Layers) >= maxLayers {
		return Image{}, fail.New(fail.State, "it has %d layers, and overlay takes no more", len(from.Layers))
	}
	st, err := s.newStage(ctx)
	if err != nil {
		return Image{}, err
	}
	defer st.remove()
	s.progress(Update{Step: "packing what was changed"})
	l, err := s.stageChanges(ctx, st, from, r, o)
	if err != nil {
		return Image{}, err
	}
	return s.commitDerived(ctx, st, name, from, l)
}

// stageChanges makes a layer of r's own files in st.
func (s *Store) stageChanges(ctx context.Context, st *stage, from stored, r Rootfs, o DeriveOptions) (layer, error) {
	fd, err := unix.Open(r.upper(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return layer{}, hostError(fmt.Errorf("open %s: %w", r.upper(), err))
	}
	below, err := openLayers(r.upper(), s.below(from.Layers))
	if err != nil {
		unix.Close(fd)
		return layer{}, hostError(err)
	}
	defer below.close()
	merged := lazyMerged{r: r, at: st.path("merged"), scratch: st.path("shifted")}
	defer merged.close()
	out, in := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		p := newPacker(ctx, in, idMap{r.First, r.Size})
		p.merged, p.forMany = merged.open, !o.KeepIdentity
		p.hides = below.isBelow
		err := p.pack(fd)
		in.CloseWithError(err)
		packed <- err
	}()
	l, err := s.stageLayer(ctx, st, out, s.below(from.Layers), nil)
	out.CloseWithError(context.Canceled) // lets go of a packer that still writes
	if perr := <-packed; ctx.Err() != nil {
		return layer{}, ctx.Err()
	} else if perr != nil && (err == nil || fail.Is(err, fail.Usage)) {
		return layer{}, hostError(perr) // the archive is ours: what is wrong with it is what kept us from writing it
	}
	return l, err
}

// commitDerived puts the image from with one more layer into the store.
func (s *Store) commitDerived(ctx context.Context, st *stage, name string, from stored, l layer) (Image, error) {
	var c oci.Image
	if err := s.readBlob(from.config, &c); err != nil {
		return Image{}, err
	}
	c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.diffID)
	found, err := s.describeLayers(st, c.RootFS.DiffIDs)
	if err != nil {
		return Image{}, err
	}
	im := from.Image
	im.Distribution, im.Release = cmp.Or(found.Distribution, im.Distribution), cmp.Or(found.Release, im.Release)
	if found.Init != im.Init {
		im.Init, im.ContainerEnv = found.Init, found.ContainerEnv
	}
	im.Recipe = "" // built from it again, the changes would be gone
	im.Created, im.Size = time.Now(), from.Size+l.size
	said := configOf(im)
	labels := c.Config.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	delete(labels, labelRecipe)
	delete(labels, labelContainerEnv)
	for k, v := range said.Config.Labels {
		labels[k] = v
	}
	c.Config.Labels, c.Created = labels, said.Created
	c.History = append(c.History, oci.History{Created: said.Created, CreatedBy: "croft template create " + name})
	return s.commitImage(ctx, st, name, c, append(append([]oci.Descriptor{}, from.manifest.Layers...), l.blob))
}

// lazyMerged is a VPS's root filesystem as the VPS sees it, mounted when it is
// first asked for: only directories that were renamed need it.
type lazyMerged struct {
	r           Rootfs
	at, scratch string
	tree        *tree
}

// open opens the directory name of it.
func (m *lazyMerged) open(name string) (int, error) {
	if m.tree == nil {
		if err := os.MkdirAll(m.at, 0o700); err != nil {
			return -1, hostError(err)
		}
		var err error
		nsthread.Do(func() { err = m.mount() })
		if err != nil {
			return -1, err
		}
	}
	return m.tree.openPlain(name)
}

// mount mounts it in a mount namespace that ends with the thread; what is open
// of it stays. The VPS's own files lie lowest: nothing is written.
func (m *lazyMerged) mount() error {
	if err := privateMounts(); err != nil {
		return err
	}
	r := m.r
	r.Scratch = m.scratch
	lowers := r.Layers
	if r.Size != 0 {
		if err := os.MkdirAll(r.Scratch, 0o700); err != nil {
			return hostError(err)
		}
		var err error
		if lowers, err = r.shiftLayers(); err != nil {
			return err
		}
	}
	err := mountOverlay(m.at, append([]string{r.upper()}, lowers...), "", "", unix.MS_RDONLY|unix.MS_NODEV|unix.MS_NOEXEC)
	if err != nil {
		return err
	}
	m.tree, err = openTree(m.at)
	return err
}

func (m *lazyMerged) close() {
	if m.tree != nil {
		m.tree.close()
	}
}
