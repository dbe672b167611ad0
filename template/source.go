package template

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"croft/internal/fail"
	"croft/template/layer"
)

// A source has images outside of the store: a registry or an OCI layout.
type source interface {
	// manifest returns the manifest or index that d describes, its digest checked.
	manifest(ctx context.Context, d oci.Descriptor) ([]byte, oci.Descriptor, error)
	// fetch returns the path of a file with the blob d. It has checked the digest.
	// The file exists until the source is closed. Several goroutines may call it
	// at the same time.
	fetch(ctx context.Context, st *stage, d oci.Descriptor) (string, error)
}

// A request selects an image of a source and limits its size.
type request struct {
	arch   string // OCI's name of the architecture
	budget *layer.Budget
	backup bool // of a VPS: its architecture cannot be chosen, and it is used as a backup
}

// stageImage puts the image that root describes into st: its blobs, and the
// unpacked layers that the store does not have.
func (s *Store) stageImage(ctx context.Context, st *stage, from source, root oci.Descriptor, w request) (stagedImage, error) {
	in, err := s.readSource(ctx, st, from, root, w)
	if err != nil {
		return stagedImage{}, err
	}
	if _, ok := in.manifest.Annotations[annotationVPS]; ok && !w.backup {
		s.warn("the image is a backup of a VPS: a template of it has the files of the VPS, with its passwords and keys, and not its settings; croft import and croft create --from restore the VPS")
	}
	d := stagedImage{manifest: in.descriptor, blobs: in.blobs, layers: in.config.RootFS.DiffIDs}
	if err := s.fetchLayers(ctx, st, from, in); err != nil {
		return stagedImage{}, err
	}
	size, err := s.unpackLayers(ctx, st, in, w.budget)
	if err != nil {
		return stagedImage{}, err
	}
	found, err := s.describeLayers(st, in.config.RootFS.DiffIDs)
	if err != nil {
		return stagedImage{}, err
	}
	d.manifest.Platform = &oci.Platform{OS: "linux", Architecture: in.config.Architecture, Variant: in.config.Variant}
	d.manifest.Annotations = found.annotations(size)
	d.manifest.Annotations[annotationSourceDigest] = in.digest.String()
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
func (s *Store) readSource(ctx context.Context, st *stage, from source, root oci.Descriptor, w request) (sourceImage, error) {
	b, d, err := pickManifest(ctx, from, root, w.arch)
	if err != nil {
		return sourceImage{}, err
	}
	in := sourceImage{digest: d.Digest, blobs: map[digest.Digest]string{}}
	if in.manifest, err = parseManifest(b); err != nil {
		return sourceImage{}, err
	}
	if !isOCI(b, in.manifest) {
		if b, err = json.Marshal(in.manifest); err != nil {
			return sourceImage{}, err
		}
	}
	if in.descriptor, err = st.writeBlob(oci.MediaTypeImageManifest, b); err != nil {
		return sourceImage{}, err
	}
	in.blobs[in.descriptor.Digest] = st.path(blobName(in.descriptor.Digest))
	c := in.manifest.Config
	if c.Size > maxJSON {
		return sourceImage{}, badImage("its config is too large (%d bytes)", c.Size)
	}
	file, err := from.fetch(ctx, st, c)
	if err != nil {
		return sourceImage{}, err
	}
	in.blobs[c.Digest] = file
	text, err := os.ReadFile(file)
	if err != nil {
		return sourceImage{}, layer.HostError(err)
	}
	in.config, err = parseConfig(text, len(in.manifest.Layers), w.arch)
	var said *fail.Error
	if w.backup && errors.As(err, &said) {
		return sourceImage{}, fail.New(said.Kind, "%s", said.Error())
	}
	if err != nil {
		return sourceImage{}, err
	}
	var packed int64
	for _, l := range in.manifest.Layers {
		packed += l.Size
		if err := w.budget.Check(packed); err != nil {
			return sourceImage{}, err
		}
	}
	return in, nil
}

// pickManifest follows nested indexes to the manifest of the image for arch.
func pickManifest(ctx context.Context, from source, d oci.Descriptor, arch string) ([]byte, oci.Descriptor, error) {
	for range maxNested {
		b, got, err := from.manifest(ctx, d)
		if err != nil || !isIndex(got.MediaType, b) {
			return b, got, err
		}
		ix, err := parseIndex(b)
		if err != nil {
			return nil, d, err
		}
		if d, err = choose(ix, arch); err != nil {
			return nil, d, err
		}
	}
	return nil, d, badImage("its indexes are nested too deeply (more than %d)", maxNested)
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
func (s *Store) fetchLayers(ctx context.Context, st *stage, from source, in sourceImage) error {
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
			file, err := s.linkBlob(ctx, st, l)
			if err == nil && file == "" {
				file, err = from.fetch(ctx, st, l)
			}
			mu.Lock()
			defer mu.Unlock()
			in.blobs[l.Digest] = file
			return err
		})
	}
	return group.Wait()
}

// linkBlob makes a hard link in the stage to a blob of the store, so that the blob
// cannot be removed meanwhile. It returns the path of the link, or "" if neither the
// store nor the stage has the blob.
func (s *Store) linkBlob(ctx context.Context, st *stage, d oci.Descriptor) (string, error) {
	unlock, err := s.lock(ctx, storeLock)
	if err != nil {
		return "", err
	}
	defer unlock()
	to := st.path(blobName(d.Digest))
	if _, err := os.Lstat(to); err == nil {
		return to, nil
	}
	switch err := os.Link(s.blobPath(d.Digest), to); {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", layer.HostError(err)
	}
	return to, nil
}

// unpackLayers unpacks the layers that the store has not unpacked yet, the lowest
// first. It returns the total size of the files in all layers, in bytes.
func (s *Store) unpackLayers(ctx context.Context, st *stage, in sourceImage, budget *layer.Budget) (int64, error) {
	var total int64
	var below []string
	for i, diffID := range in.config.RootFS.DiffIDs {
		dir := s.layerDir(diffID.String())
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
		s.progress(Update{Step: "unpacking layer " + strconv.Itoa(i+1) + " of " + strconv.Itoa(len(in.manifest.Layers))})
		tmp := st.path("unpack")
		size, err := unpackFile(ctx, in.blobs[l.Digest], tmp, l.Digest, diffID, below, budget)
		if err != nil {
			return 0, err
		}
		if err := st.putLayer(tmp, diffID); err != nil {
			return 0, err
		}
		total += size
		below = append([]string{st.path(layerName(diffID))}, below...)
	}
	return total, nil
}

// annotations returns the annotations for an image of another tool: the facts that
// croft has found in its files.
func (im Image) annotations(size int64) map[string]string {
	all := map[string]string{
		labelDistribution: im.Distribution, labelRelease: im.Release, labelInit: im.Init,
		labelContainerEnv: im.ContainerEnv, labelSize: strconv.FormatInt(size, 10),
	}
	if !im.Created.IsZero() {
		all[oci.AnnotationCreated] = im.Created.UTC().Format(time.RFC3339)
	}
	maps.DeleteFunc(all, func(_, v string) bool { return v == "" })
	return all
}
