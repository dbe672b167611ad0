package images

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"sync"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"croft/internal/fail"
	"croft/template/layer"
)

// A Source has images outside of the store: a registry or an OCI layout.
type Source interface {
	// manifest returns the manifest or index that d describes, its digest checked.
	Manifest(ctx context.Context, d oci.Descriptor) ([]byte, oci.Descriptor, error)
	// fetch returns the path of a file with the blob d. It has checked the digest.
	// The file exists until the source is closed. Several goroutines may call it
	// at the same time.
	Fetch(ctx context.Context, st *Stage, d oci.Descriptor) (string, error)
}

// A Request selects an image of a source and limits its size.
type Request struct {
	Arch   string // OCI's name of the architecture
	Budget *layer.Budget
	Backup bool // of a VPS: its architecture cannot be chosen, and it is used as a backup
}

// StageImage puts the image that root describes into st: its blobs, and the
// unpacked layers that the store does not have.
func (s *Store) StageImage(ctx context.Context, st *Stage, from Source, root oci.Descriptor, w Request) (Staged, error) {
	in, err := s.readSource(ctx, st, from, root, w)
	if err != nil {
		return Staged{}, err
	}
	if _, ok := in.manifest.Annotations[AnnotationVPS]; ok && !w.Backup {
		s.Warn("the image is a backup of a VPS: a template of it has the files of the VPS, with its passwords and keys, and not its settings; croft import and croft create --from restore the VPS")
	}
	d := Staged{Manifest: in.descriptor, Blobs: in.blobs, Layers: in.config.RootFS.DiffIDs}
	if err := s.fetchLayers(ctx, st, from, in); err != nil {
		return Staged{}, err
	}
	size, err := s.unpackLayers(ctx, st, in, w.Budget)
	if err != nil {
		return Staged{}, err
	}
	found, err := s.DescribeLayers(st, in.config.RootFS.DiffIDs)
	if err != nil {
		return Staged{}, err
	}
	d.Manifest.Platform = &oci.Platform{OS: "linux", Architecture: in.config.Architecture, Variant: in.config.Variant}
	d.Manifest.Annotations = found.Annotations(size)
	d.Manifest.Annotations[AnnotationSourceDigest] = in.digest.String()
	return d, nil
}

// A sourceImage is an image of a source. Its manifest and config are read and
// valid.
type sourceImage struct {
	digest     digest.Digest  // of its manifest at the source
	descriptor oci.Descriptor // of its manifest in the store
	manifest   oci.Manifest
	config     oci.Image
	blobs      map[digest.Digest]string // their files
}

// readSource reads the manifest and the config of an image. The store keeps an OCI
// manifest byte for byte. It converts one of Docker to OCI's form.
func (s *Store) readSource(ctx context.Context, st *Stage, from Source, root oci.Descriptor, w Request) (sourceImage, error) {
	b, d, err := PickManifest(ctx, from, root, w.Arch)
	if err != nil {
		return sourceImage{}, err
	}
	in := sourceImage{digest: d.Digest, blobs: map[digest.Digest]string{}}
	if in.manifest, err = ParseManifest(b); err != nil {
		return sourceImage{}, err
	}
	if !isOCI(b, in.manifest) {
		if b, err = json.Marshal(in.manifest); err != nil {
			return sourceImage{}, err
		}
	}
	if in.descriptor, err = st.WriteBlob(oci.MediaTypeImageManifest, b); err != nil {
		return sourceImage{}, err
	}
	in.blobs[in.descriptor.Digest] = st.Path(BlobName(in.descriptor.Digest))
	c := in.manifest.Config
	if c.Size > MaxJSON {
		return sourceImage{}, BadImage("its config is too large (%d bytes)", c.Size)
	}
	file, err := from.Fetch(ctx, st, c)
	if err != nil {
		return sourceImage{}, err
	}
	in.blobs[c.Digest] = file
	text, err := os.ReadFile(file)
	if err != nil {
		return sourceImage{}, layer.HostError(err)
	}
	in.config, err = ParseConfig(text, len(in.manifest.Layers), w.Arch)
	var said *fail.Error
	if w.Backup && errors.As(err, &said) {
		return sourceImage{}, fail.New(said.Kind, "%s", said.Error())
	}
	if err != nil {
		return sourceImage{}, err
	}
	var packed int64
	for _, l := range in.manifest.Layers {
		packed += l.Size
		if err := w.Budget.Check(packed); err != nil {
			return sourceImage{}, err
		}
	}
	return in, nil
}

// PickManifest follows nested indexes to the manifest of the image for arch.
func PickManifest(ctx context.Context, from Source, d oci.Descriptor, arch string) ([]byte, oci.Descriptor, error) {
	b, got, _, err := FollowManifests(ctx, from, d, arch)
	return b, got, err
}

// FollowManifests is PickManifest that also returns the digests of all manifests on the way: first that
// of d, last that of the image.
func FollowManifests(ctx context.Context, from Source, d oci.Descriptor, arch string) ([]byte, oci.Descriptor, []digest.Digest, error) {
	var way []digest.Digest
	for range maxNested {
		b, got, err := from.Manifest(ctx, d)
		way = append(way, got.Digest)
		if err != nil || !isIndex(got.MediaType, b) {
			return b, got, way, err
		}
		ix, err := ParseIndex(b)
		if err != nil {
			return nil, d, nil, err
		}
		if d, err = Choose(ix, arch); err != nil {
			return nil, d, nil, err
		}
	}
	return nil, d, nil, BadImage("its indexes are nested too deeply (more than %d)", maxNested)
}

// isOCI reports whether the manifest b is in OCI's form. m is b with OCI's media
// types.
func isOCI(b []byte, m oci.Manifest) bool {
	var as oci.Manifest
	if json.Unmarshal(b, &as) != nil || as.MediaType != "" && as.MediaType != m.MediaType || as.Config.MediaType != m.Config.MediaType {
		return false
	}
	for i, l := range as.Layers {
		if l.MediaType != m.Layers[i].MediaType {
			return false
		}
	}
	return true
}

// parallel is how many blobs are fetched at the same time.
const parallel = 3

// fetchLayers fetches the layers that the store does not have. The first error
// cancels the other downloads.
func (s *Store) fetchLayers(ctx context.Context, st *Stage, from Source, in sourceImage) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	var mu sync.Mutex // guards in.blobs
	seen := map[digest.Digest]bool{}
	for _, l := range in.manifest.Layers {
		if seen[l.Digest] {
			continue
		}
		seen[l.Digest] = true
		group.Go(func() error {
			file, err := s.LinkBlob(ctx, st, l)
			if err == nil && file == "" {
				file, err = from.Fetch(ctx, st, l)
			}
			mu.Lock()
			defer mu.Unlock()
			in.blobs[l.Digest] = file
			return err
		})
	}
	return group.Wait()
}

// unpackLayers unpacks the layers that the store has not unpacked yet, the lowest
// first. It returns the total size of the files in all layers, in bytes.
func (s *Store) unpackLayers(ctx context.Context, st *Stage, in sourceImage, budget *layer.Budget) (int64, error) {
	var total int64
	var below []string
	for i, diffID := range in.config.RootFS.DiffIDs {
		dir := s.LayerDir(diffID.String())
		l := in.manifest.Layers[i]
		if _, err := os.Stat(dir); err == nil {
			size, err := treeSize(dir)
			if err != nil {
				return 0, err
			}
			total += size
			below = append([]string{dir}, below...)
			continue
		}
		s.Report(Update{Step: "unpacking layer " + strconv.Itoa(i+1) + " of " + strconv.Itoa(len(in.manifest.Layers))})
		tmp := st.Path("unpack")
		size, err := unpackFile(ctx, in.blobs[l.Digest], tmp, l.Digest, diffID, below, budget)
		if err != nil {
			return 0, err
		}
		if err := st.putLayer(tmp, diffID); err != nil {
			return 0, err
		}
		total += size
		below = append([]string{st.Path(LayerName(diffID))}, below...)
	}
	return total, nil
}
