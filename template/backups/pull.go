package backups

import (
	"context"
	"encoding/json"
	goruntime "runtime"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/blobs"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/registry"
	"croft/template/signatures"
	"croft/template/transfer"
)

// Pull is Import for a backup in a registry, which the reference text names.
// It downloads only layers that the store does not have. An image that is not a backup is
// fail.Usage, and one that the policy refuses fail.Permission. The next Pull resumes after an error, as with Pull.
func Pull(ctx context.Context, s *images.Store, text string, trust transfer.Trust, p signatures.Policy, u Use) error {
	ref, err := registry.Parse(text)
	if err != nil {
		return err
	}
	if err := s.Make(); err != nil {
		return err
	}
	from, err := blobs.OpenRegistry(ctx, s, ref, trust)
	if err != nil {
		return err
	}
	defer from.Close()
	root, _, err := from.Choose(ctx, goruntime.GOARCH, p)
	if err != nil {
		return err
	}
	settings, err := backupIn(ctx, from, root, s.Warn)
	if err != nil {
		return err
	}
	name, err := u.Check(settings)
	if err != nil {
		return err
	}
	st, err := s.NewStage(ctx)
	if err != nil {
		return err
	}
	defer st.Remove()
	d, err := s.StageImage(ctx, st, from, root, images.Request{Arch: goruntime.GOARCH, Budget: layer.NewBudget(layer.Unlimited), Backup: true})
	if err != nil {
		return err
	}
	d.Name = name
	delete(d.Manifest.Annotations, images.AnnotationSourceDigest) // it was not pulled as a template
	return s.PublishFor(ctx, st, d, u.Use, u.Used)
}

// backupIn returns the settings in the backup with the manifest root.
func backupIn(ctx context.Context, from *blobs.Registry, root oci.Descriptor, warn func(string)) (json.RawMessage, error) {
	b, _, err := from.Manifest(ctx, root)
	if err != nil {
		return nil, err
	}
	m, err := images.ParseManifest(b)
	if err != nil {
		return nil, err
	}
	settings, ok := m.Annotations[images.AnnotationVPS]
	if !ok {
		return nil, fail.New(fail.Usage, "it is an image, and not a backup of a VPS: it has no settings").WithHint("croft help template pull")
	}
	if _, has := m.Annotations[images.AnnotationSnapshots]; has {
		warn("the backup had snapshots when it was exported; there are none in a registry")
	}
	return json.RawMessage(settings), nil
}
