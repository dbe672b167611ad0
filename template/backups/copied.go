package backups

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/blobs"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/layer/delta"
	"croft/template/rootfs"
)

// A copiedPart is the topmost frozen layer of a push, a copy of files that a VPS has as its
// own. Nothing says which of them have changed since an earlier push. So that has left a
// record of them.
type copiedPart struct {
	store  *images.Store
	stage  *images.Stage
	to     Target
	base   images.Stored // the template, as far as the image has it
	all    rootfs.Rootfs // with this layer
	o      Options
	record *delta.Record // of this push; nil: none is kept
}

// pack appends the layers of the part to packed, which are those below it. If an earlier push has
// left a record of the same files, these are its layers, which the registry has, and what has
// changed since. Otherwise it is one layer with all files.
func (c *copiedPart) pack(ctx context.Context, packed []packedPart, left layer.LeftOut) ([]packedPart, layer.LeftOut, error) {
	below := c.below(packed)
	if n := len(below) + 1; n > rootfs.MaxLayers {
		return nil, left, fail.New(fail.State, "it would have %d layers, and overlay mounts at most %d", n, rootfs.MaxLayers)
	}
	known, err := c.known(ctx, below)
	if err != nil {
		return nil, left, err
	}
	made, more, err := c.layers(ctx, known, below)
	return append(packed, made...), left.Add(more), err
}

// below returns the diff ids of the layers below the part.
func (c *copiedPart) below(packed []packedPart) []string {
	var all []string
	all = append(all, c.base.Layers...)
	for _, p := range packed {
		all = append(all, p.diffID.String())
	}
	return all
}

func (c *copiedPart) part() packedPart {
	all := c.all.Parts()
	return packedPart{store: c.store, stage: c.stage, files: all[len(all)-2], compress: c.o.compression()}
}

// layers returns the layers of the part, above those of one of the records if it can.
func (c *copiedPart) layers(ctx context.Context, known []delta.Record, below []string) ([]packedPart, layer.LeftOut, error) {
	var done int64
	if len(known) > 0 {
		now, left, err := c.entries(ctx, &done)
		if err != nil {
			return nil, left, err
		}
		for _, r := range known {
			made, err := c.above(ctx, r, now, len(below), &done)
			if err != nil || made != nil {
				return made, left, err
			}
		}
	}
	p, list := c.part(), &listed{}
	p.note = list.add
	if err := p.measure(ctx, &done); err != nil {
		return nil, p.left, err
	}
	p.note = nil
	if !list.full {
		c.record = &delta.Record{Below: below, Layers: []delta.Layer{p.recorded()}, Entries: list.all}
	}
	return []packedPart{p}, p.left, nil
}

// entries reads the files of the part.
func (c *copiedPart) entries(ctx context.Context, done *int64) ([]delta.Entry, layer.LeftOut, error) {
	p, list := c.part(), &listed{}
	p.compress, p.note = CompressNone, list.add
	err := p.measure(ctx, done)
	return list.all, p.left, err
}

// listed are entries of a layer.
type listed struct {
	all  []delta.Entry
	full bool // there are more than a record has
}

func (l *listed) add(e delta.Entry) {
	if l.full = l.full || len(l.all) >= delta.MaxEntries; !l.full {
		l.all = append(l.all, e)
	}
}

// above returns the layers of the record r, and one with what has changed since, if there
// is something. now are the entries of the files, and below how many layers the image has below.
// It returns nil if it is better, or necessary, to send all files again.
func (c *copiedPart) above(ctx context.Context, r delta.Record, now []delta.Entry, below int, done *int64) ([]packedPart, error) {
	if len(now) >= delta.MaxEntries || below+len(r.Layers)+1 > rootfs.MaxLayers {
		return nil, nil
	}
	plan, err := delta.Compare(r.Entries, now, delta.Layout{Plain: c.all.Plain(), Data: rootfs.DataPaths()})
	if err != nil || !r.Takes(plan, delta.Size(now)) {
		return nil, nil // an error is a reason
	}
	if shows, err := c.shows(plan.Uncovered); err != nil || shows {
		return nil, err
	}
	var all []packedPart
	for _, l := range r.Layers {
		all = append(all, packedPart{diffID: digest.Digest(l.DiffID), size: l.Size, blob: blobOf(l), known: true})
	}
	if plan.Empty() {
		r = r.With(now)
		c.record = &r
		return all, nil
	}
	p := c.part()
	p.plan = plan
	if err := p.measure(ctx, done); err != nil {
		return nil, err
	}
	r = r.With(now, p.recorded())
	c.record = &r
	return append(all, p), nil
}

// shows reports whether the layers below the part have something at one of the paths.
func (c *copiedPart) shows(paths []string) (found bool, err error) {
	if len(paths) == 0 || c.all.Plain() {
		return false, nil
	}
	stack := append(append([]rootfs.Frozen{}, c.all.Frozen[1:]...), c.all.Below()...)
	err = rootfs.WithViews(c.stage.Path("below"), [][]rootfs.Frozen{stack}, func(roots []string) error {
		tree, err := layer.OpenTree(roots[0])
		if err != nil {
			return err
		}
		defer tree.Close()
		for _, path := range paths {
			found, err = tree.Shows(path)
			if errors.Is(err, unix.ENAMETOOLONG) { // it is not known
				found, err = true, nil
			}
			if err != nil || found {
				return err
			}
		}
		return nil
	})
	return found, layer.HostError(err)
}

// recorded is p as a layer of a record.
func (p *packedPart) recorded() delta.Layer {
	return delta.Layer{DiffID: p.diffID.String(), Size: p.size, MediaType: p.blob.MediaType, Digest: p.blob.Digest.String(), BlobSize: p.blob.Size}
}

func blobOf(l delta.Layer) oci.Descriptor {
	return oci.Descriptor{MediaType: l.MediaType, Digest: digest.Digest(l.Digest), Size: l.BlobSize}
}

// known returns the records of earlier pushes to the repository that fit: the last one, and
// the last one with all files. The registry has all their layers.
func (c *copiedPart) known(ctx context.Context, below []string) ([]delta.Record, error) {
	var all []delta.Record
	for _, r := range readRecords(c.o.Records, c.to.ref.Repository()) {
		if !r.Fits(below, c.o.compression().mediaType()) {
			continue
		}
		has, err := c.hasAll(ctx, r)
		if err != nil {
			return nil, err
		}
		if has {
			all = append(all, r)
		}
	}
	return all, nil
}

// hasAll reports whether the registry has all layers of r.
func (c *copiedPart) hasAll(ctx context.Context, r delta.Record) (bool, error) {
	for _, l := range r.Layers {
		if images.CheckDescriptor(blobOf(l)) != nil || digest.Digest(l.DiffID).Validate() != nil {
			return false, nil
		}
		has := false
		err := blobs.Retry(ctx, c.store, func() (err error) {
			has, err = c.to.repo.Has(ctx, digest.Digest(l.Digest))
			return err
		})
		if err != nil || !has {
			return false, err
		}
	}
	return true, nil
}

// remember keeps the record of this push. The push is done, so a failure is a warning.
func (c *copiedPart) remember() {
	if c.record == nil {
		return
	}
	err := writeRecord(c.o.Records, c.to.ref.Repository(), *c.record)
	if err != nil && !errors.Is(err, unix.ENOENT) { // the VPS was renamed or destroyed meanwhile
		c.store.Warn(fmt.Sprintf("the next push of %s sends all its files again: %s", c.o.Name, strings.TrimSpace(layer.HostError(err).Error())))
	}
}
