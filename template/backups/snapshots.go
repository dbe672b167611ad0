package backups

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/template/images"
	"croft/template/rootfs"
)

// A Snapshot is a snapshot that a backup has beside the VPS.
type Snapshot struct {
	Name     string
	Settings json.RawMessage
	Base     string        // the digest of its template
	Root     rootfs.Rootfs // whose frozen layers it has
}

// SnapshotSettings are those of a snapshot in a backup.
type SnapshotSettings struct {
	Name     string
	Settings json.RawMessage
}

// A snapshotRef names the manifest of a snapshot, in the manifest of the VPS.
type snapshotRef struct {
	Name   string        `json:"name"`
	Digest digest.Digest `json:"digest"`
	Size   int64         `json:"size"`
}

func (n snapshotRef) descriptor() oci.Descriptor {
	return oci.Descriptor{MediaType: oci.MediaTypeImageManifest, Digest: n.Digest, Size: n.Size}
}

// snapshots returns the images of o.Snapshots, and what the manifest of the VPS says about
// them.
func (b *backingUp) snapshots(ctx context.Context, o Options) (all []images.Stored, refs []snapshotRef, err error) {
	for _, n := range o.Snapshots {
		one, err := b.snapshot(ctx, n, o)
		if err != nil {
			return nil, nil, fmt.Errorf("the snapshot %s: %w", n.Name, err)
		}
		all = append(all, one)
		refs = append(refs, snapshotRef{Name: n.Name, Digest: one.Descriptor.Digest, Size: one.Descriptor.Size})
	}
	return all, refs, nil
}

// snapshot returns the image of a snapshot.
func (b *backingUp) snapshot(ctx context.Context, n Snapshot, o Options) (images.Stored, error) {
	r, err := images.ParseRef(n.Base)
	if err != nil {
		return images.Stored{}, err
	}
	base, err := b.store.LinkInto(ctx, b.stage, r)
	if err != nil {
		return images.Stored{}, err
	}
	o.Settings = n.Settings
	return b.image(ctx, base, n.Root, o)
}

// snapshotsIn returns the snapshots that the manifest m of a VPS names.
func snapshotsIn(m oci.Manifest) ([]snapshotRef, error) {
	text, ok := m.Annotations[images.AnnotationSnapshots]
	if !ok {
		return nil, nil
	}
	var all []snapshotRef
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, damaged("its list of snapshots: %w", err)
	}
	for _, n := range all {
		if err := images.CheckDescriptor(n.descriptor()); err != nil {
			return nil, damaged("its snapshot %q: %w", n.Name, err)
		}
	}
	return all, nil
}

// lookAtSnapshots checks the snapshots as soon as all their manifests are read. It reports
// whether they are.
func (a *archived) lookAtSnapshots(m oci.Manifest) (bool, error) {
	refs, err := snapshotsIn(m)
	if err != nil {
		return false, err
	}
	a.lacks = ""
	var all []SnapshotSettings
	for _, n := range refs {
		b, _, err := a.Manifest(context.Background(), n.descriptor())
		if errors.Is(err, fs.ErrNotExist) {
			a.lacks = n.Name
			return false, nil
		}
		if err != nil {
			return false, err
		}
		m, err := images.ParseManifest(b)
		if err != nil {
			return false, err
		}
		settings, ok := m.Annotations[images.AnnotationVPS]
		if !ok {
			return false, damaged("its snapshot %q has no settings", n.Name)
		}
		all = append(all, SnapshotSettings{Name: n.Name, Settings: json.RawMessage(settings)})
	}
	a.snapshots, a.found = refs, all
	return true, nil
}
