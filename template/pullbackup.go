package template

import (
	"context"
	"encoding/json"
	goruntime "runtime"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/layer"
	"croft/template/registry"
	"croft/template/transfer"
)

// PullBackup is ImportBackup for a backup in a registry, which the reference text names.
// It downloads only layers that the store does not have. An image that is not a backup is
// fail.Usage. The next PullBackup resumes after an error, as with Pull.
func (s *Store) PullBackup(ctx context.Context, text string, o PullOptions, u BackupUse) error {
	ref, err := registry.Parse(text)
	if err != nil {
		return err
	}
	if err := s.make(); err != nil {
		return err
	}
	repo, err := registry.Open(ctx, ref, registry.Options{Trust: transfer.Trust{Insecure: o.Insecure, CertsDir: s.o.CertsDir}})
	if err != nil {
		return err
	}
	from := &registrySource{downloads: downloads{store: s, from: repo}, repo: repo}
	defer from.close()
	if from.root, from.rootDescriptor, err = repo.Manifest(ctx, "", maxJSON); err != nil {
		return err
	}
	root, settings, err := backupIn(ctx, from)
	if err != nil {
		return err
	}
	name, err := u.Check(settings)
	if err != nil {
		return err
	}
	st, err := s.newStage(ctx)
	if err != nil {
		return err
	}
	defer st.remove()
	d, err := s.stageImage(ctx, st, from, root, request{arch: goruntime.GOARCH, budget: layer.NewBudget(layer.Unlimited), backup: true})
	if err != nil {
		return err
	}
	d.name = name
	delete(d.manifest.Annotations, annotationSourceDigest) // it was not pulled as a template
	return s.publishBackup(ctx, st, d, u)
}

// backupIn returns the manifest of the backup in the registry, and the settings in it.
func backupIn(ctx context.Context, from *registrySource) (oci.Descriptor, json.RawMessage, error) {
	b, d, err := pickManifest(ctx, from, from.rootDescriptor, goruntime.GOARCH)
	if err != nil {
		return d, nil, err
	}
	m, err := parseManifest(b)
	if err != nil {
		return d, nil, err
	}
	settings, ok := m.Annotations[annotationVPS]
	if !ok {
		return d, nil, fail.New(fail.Usage, "it is an image, and not a backup of a VPS: it has no settings").WithHint("croft help template pull")
	}
	return d, json.RawMessage(settings), nil
}
