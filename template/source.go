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

	"croft/template/layer"

	oci "github.com/opencontainers/image-spec/specs-go/v1"
)

// A source is somewhere else that has images: a registry, an OCI layout.
type source interface {
	// manifest returns the manifest or index that d describes, its digest checked.
	manifest(ctx context.Context, d oci.Descriptor) ([]byte, oci.Descriptor, error)
	// fetch returns the path of a file that holds the blob d, its digest
	// checked, which stays until the source is closed. Several may be fetched
	// at once.
	fetch(ctx context.Context, st *stage, d oci.Descriptor) (string, error)
}

// What is wanted of a source.
type request struct {
	arch   string // as OCI calls it
	budget *layer.Budget
}

// take makes the image that root describes ready in st: its blobs, and its
// layers unpacked where the store does not have them.
func (s *Store) stageImage(ctx context.Context, st *stage, from source, root oci.Descriptor, w request) (stagedImage, error) {
	in, err := s.readSource(ctx, st, from, root, w)
	if err != nil {
		return stagedImage{}, err
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

// A sourceImage is one at its source, read and found good so far.
type sourceImage struct {
	digest     digest.Digest  // of its manifest at the source
	descriptor oci.Descriptor // of its manifest as the store will have it
	manifest   oci.Manifest
	config     oci.Image
	blobs      map[digest.Digest]string // where they lie
}

// readSource reads the manifest and the config of an image. The manifest is
// kept byte for byte; one that is Docker's is written anew as OCI's.
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
		return sourceImage{}, badImage("its config has %d bytes", c.Size)
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

// pick follows indexes down to the manifest of the image for arch.
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
	return nil, d, badImage("its indexes lie %d deep in each other", maxNested)
}

// isOCI reports whether the manifest b is one as it is: m is what it says in
// OCI's words.
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

// parallel is how many blobs are fetched at once.
const parallel = 3

// fetchLayers fetches the layers that the store does not have. The first
// failure calls the others off.
func (s *Store) fetchLayers(ctx context.Context, st *stage, from source, in sourceImage) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		working sync.WaitGroup
		mu      sync.Mutex
		first   error
		slots   = make(chan struct{}, parallel)
		asked   = map[digest.Digest]bool{}
	)
	for _, l := range in.manifest.Layers {
		if asked[l.Digest] {
			continue
		}
		asked[l.Digest] = true
		slots <- struct{}{}
		working.Go(func() {
			defer func() { <-slots }()
			file, err := s.linkBlob(ctx, st, l)
			if err == nil && file == "" {
				file, err = from.fetch(ctx, st, l)
			}
			mu.Lock()
			defer mu.Unlock()
			in.blobs[l.Digest] = file
			if err != nil && first == nil {
				first = err
				cancel()
			}
		})
	}
	working.Wait()
	return first
}

// borrow gives the stage a link to a blob that the store has, so that nobody
// can take it away meanwhile, and returns where it is; "" if it does not have it.
func (s *Store) linkBlob(ctx context.Context, st *stage, d oci.Descriptor) (string, error) {
	unlock, err := s.lock(ctx, storeLock)
	if err != nil {
		return "", err
	}
	defer unlock()
	to := st.path(blobName(d.Digest))
	switch err := os.Link(s.blobPath(d.Digest), to); {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", layer.HostError(err)
	}
	return to, nil
}

// unpackLayers unpacks, lowest first, those layers that are not unpacked, and
// returns the bytes of those that are, as far as that is known.
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

// annotations are what croft has found in an image that is another tool's.
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
