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
)

// A Use says what to do with a backup that Import reads.
type Use struct {
	// Check is called with the settings of the VPS, at the latest before files are
	// unpacked. It returns the name of the former image that the store gets. An error
	// ends the import.
	Check func(settings json.RawMessage) (name string, err error)
	// Use gives the image a user: see Remove. No Remove or Prune removes the image
	// before Use returns. After an error the image is removed again.
	Use func(im images.Image) error
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
	d, err := stageBackup(ctx, s, st, plain, u)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	return s.PublishFor(ctx, st, d, u.Use, u.Used)
}

// stageBackup puts the image in the archive r into st.
func stageBackup(ctx context.Context, s *images.Store, st *images.Stage, r io.Reader, u Use) (images.Staged, error) {
	a := archived{store: s, stage: st, check: u.Check}
	if err := a.read(ctx, r); err != nil {
		return images.Staged{}, err
	}
	if err := a.look(); err != nil {
		return images.Staged{}, err
	}
	if !a.checked {
		return images.Staged{}, fail.New(fail.Usage, "the archive is not complete, or it is not a backup of a VPS").WithHint("croft help export")
	}
	if err := a.checkArchitecture(); err != nil {
		return images.Staged{}, err
	}
	d, err := s.StageImage(ctx, st, &a, a.root, images.Request{Arch: goruntime.GOARCH, Budget: layer.NewBudget(layer.Unlimited), Backup: true})
	if err != nil {
		return images.Staged{}, err
	}
	d.Name = a.name
	delete(d.Manifest.Annotations, images.AnnotationSourceDigest) // it does not come from a registry
	return d, nil
}
