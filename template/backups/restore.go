package backups

import (
	"context"
	"encoding/json"
	"io"
	goruntime "runtime"

	"croft/internal/fail"
	"croft/template/archive"
	"croft/template/images"
	"croft/template/layer"

	oci "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Use says what to do with a backup that Import reads.
type Use struct {
	// Check is called with the settings of the VPS, at the latest before files are
	// unpacked. It returns the name of the former image that the store gets. An error
	// ends the import.
	Check func(settings json.RawMessage) (name string, err error)
	// Snapshots is called after Check with the snapshots in the archive, if it has some.
	// An error ends the import. nil: the snapshots are left out.
	Snapshots func(all []SnapshotSettings) error
	// Use gives the image a user: see Remove. No Remove or Prune removes the image
	// before Use returns. After an error the image is removed again.
	Use func(im images.Image) error
	// UseAll is called in place of Use, if Snapshots was called: with their images too, in
	// the same order.
	UseAll func(im images.Image, snapshots []images.Image) error
	// Used is that of Remove.
	Used func() (map[string][]string, error)
}

// Import puts the image in a backup into the store, as a former image, and calls
// u.Use. Layers and blobs that the store has are shared. An archive that is cut, changed
// or not a backup is fail.Usage. After an error the store has no new image; a killed
// import leaves at most one that RemoveAbandoned removes.
func Import(ctx context.Context, s *images.Store, r io.Reader, u Use) error {
	if err := s.Make(); err != nil {
		return err
	}
	st, err := s.NewStage(ctx)
	if err != nil {
		return err
	}
	defer st.Remove()
	in := archive.Cancellable(ctx, r)
	defer in.Close()
	plain, err := layer.Decompress(s.CountedReader("importing", in))
	if err := layer.ArchiveFailure(err); fail.Is(err, fail.Usage) {
		return damaged("it is empty, or its compression is damaged")
	} else if err != nil {
		return err
	}
	defer plain.Close()
	a := archived{store: s, stage: st, use: u}
	err = a.readAll(ctx, plain)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	p := s.Publishing(st, u.Used)
	return p.End(ctx, a.publish(ctx, p))
}

// readAll reads the archive r, and checks all but the content of the layers.
func (a *archived) readAll(ctx context.Context, r io.Reader) error {
	if err := a.read(ctx, r); err != nil {
		return err
	}
	if err := a.look(); err != nil {
		return err
	}
	switch {
	case a.lacks != "":
		return damaged("its snapshot %q is missing; if another tool has copied the image, the copy has no snapshots", a.lacks)
	case !a.checked:
		return fail.New(fail.Usage, "the archive is not complete, or it is not a backup of a VPS").WithHint("croft help export")
	}
	return a.checkArchitecture()
}

// publish puts the images of the snapshots and of the VPS into the store, and gives them a
// user.
func (a *archived) publish(ctx context.Context, p *images.Publishing) error {
	var snapshots []images.Image
	for _, n := range a.snapshots {
		im, err := a.publishImage(ctx, p, n.descriptor())
		if err != nil {
			return err
		}
		snapshots = append(snapshots, im)
	}
	im, err := a.publishImage(ctx, p, a.root)
	switch {
	case err != nil:
		return err
	case len(snapshots) > 0:
		return a.use.UseAll(im, snapshots)
	}
	return a.use.Use(im)
}

// publishImage puts the image with the manifest root into the store.
func (a *archived) publishImage(ctx context.Context, p *images.Publishing, root oci.Descriptor) (images.Image, error) {
	d, err := a.store.StageImage(ctx, a.stage, a, root, images.Request{Arch: goruntime.GOARCH, Budget: layer.NewBudget(layer.Unlimited), Backup: true})
	if ctx.Err() != nil {
		return images.Image{}, ctx.Err()
	}
	if err != nil {
		return images.Image{}, err
	}
	d.Name = a.name
	delete(d.Manifest.Annotations, images.AnnotationSourceDigest) // it does not come from a registry
	return p.Publish(ctx, d)
}
