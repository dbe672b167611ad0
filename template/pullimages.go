package template

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/layer"
	"croft/template/recipe"
	"croft/template/streams"
)

// pullImage is Pull of an image of an image server.
func (s *Store) pullImage(ctx context.Context, remote Remote, at streams.Reference, o PullOptions) (Image, error) {
	old, err := s.pullTarget(o, at.String())
	if err != nil {
		return Image{}, err
	}
	server, err := s.connect(remote, o.Insecure)
	if err != nil {
		return Image{}, err
	}
	s.progress(Update{Step: "reading the catalogue of " + remote.Name})
	all, err := server.Images(ctx)
	if err != nil {
		return Image{}, err
	}
	im, err := streams.Find(all, at.Image, recipe.DebianName(o.Architecture))
	if fail.Is(err, fail.NotFound) {
		return Image{}, fail.New(fail.NotFound, "server %s has %w", remote.Name, err).WithHint("croft template search %s: %s", remote.Name, strings.SplitN(at.Image, "/", 2)[0])
	} else if err != nil {
		return Image{}, err
	}
	if old.Source == at.String() && old.SourceDigest == im.Digest.String() {
		return old, nil
	}
	from := &downloads{store: s, from: server.Files(im)}
	defer from.close()
	st, err := s.newStage(ctx)
	if err != nil {
		return Image{}, err
	}
	defer st.remove()
	d, err := s.stageStream(ctx, st, from, im, o)
	if err != nil {
		return Image{}, err
	}
	d.manifest.Annotations = map[string]string{annotationSource: at.String(), annotationSourceDigest: im.Digest.String()}
	pulled, err := s.publish(ctx, st, d)
	if err == nil {
		from.remove()
	}
	return pulled, err
}

// stageStream downloads an image of an image server, and stages it.
func (s *Store) stageStream(ctx context.Context, st *stage, from *downloads, im streams.Image, o PullOptions) (stagedImage, error) {
	metaFile, err := from.fetch(ctx, st, blobOf(im.Meta))
	if err != nil {
		return stagedImage{}, err
	}
	rootFile := metaFile
	if im.Root.Kind != "" {
		if rootFile, err = from.fetch(ctx, st, blobOf(im.Root)); err != nil {
			return stagedImage{}, err
		}
		if err := checkCombined(im.Digest, metaFile, rootFile); err != nil {
			return stagedImage{}, err
		}
	}
	meta, err := readMetadata(metaFile)
	if err != nil {
		return stagedImage{}, err
	}
	budget := layer.NewBudget(o.MaxSize)
	s.progress(Update{Step: "unpacking " + o.Name})
	root, err := s.stageRoot(ctx, st, rootFile, im, budget)
	if err != nil {
		return stagedImage{}, err
	}
	layers, err := s.withStatic(ctx, st, root, meta, budget)
	if err != nil {
		return stagedImage{}, err
	}
	return s.describeStream(st, layers, im, meta.Metadata, o)
}

// describeStream stages the config and the manifest of an image with these layers.
func (s *Store) describeStream(st *stage, layers []stagedLayer, im streams.Image, meta streams.Metadata, o PullOptions) (stagedImage, error) {
	found, err := s.describeNew(st, layers)
	if err != nil {
		return stagedImage{}, err
	}
	found.Name, found.Architecture, found.Variant = o.Name, o.Architecture, im.Variant
	if found.Created = meta.Created(); found.Created.IsZero() {
		found.Created, _ = time.Parse("20060102", im.Serial[:min(len(im.Serial), 8)])
	}
	blobs := found.setLayers(layers)
	return st.image(o.Name, configOf(found), blobs)
}

// blobOf returns the descriptor of a file of an image server.
func blobOf(f streams.File) oci.Descriptor { return oci.Descriptor{Digest: f.Digest, Size: f.Size} }

// checkCombined compares the digest of two files, one after the other, with the one that
// names the image. It tells apart files that do not belong together.
func checkCombined(want digest.Digest, files ...string) error {
	h := sha256.New()
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return layer.HostError(err)
		}
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return layer.HostError(err)
		}
	}
	if got := sum(h); got != want {
		return fail.New(fail.Usage, "the image's files have the combined digest %s, and the catalogue says %s", got, want)
	}
	return nil
}

// readTar calls each with the entries of the tar archive name, compressed or not.
func readTar(name string, each func(h *tar.Header, r io.Reader) error) error {
	f, err := os.Open(name)
	if err != nil {
		return layer.HostError(err)
	}
	defer f.Close()
	plain, err := layer.Decompress(f)
	if err != nil {
		return layer.ArchiveFailure(err)
	}
	defer plain.Close()
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, tar.ErrHeader):
			return fail.New(fail.Usage, "the image's archive is damaged: %w", err)
		case err == nil:
			err = each(h, r)
		}
		if err != nil {
			return layer.ArchiveFailure(err)
		}
	}
}

// stageRoot stages the root filesystem of an image, whose format im says.
func (s *Store) stageRoot(ctx context.Context, st *stage, file string, im streams.Image, budget *layer.Budget) (stagedLayer, error) {
	switch im.Root.Kind {
	case streams.Squashfs:
		return s.stageSquashfs(ctx, st, file, budget)
	case streams.Tar:
		f, err := os.Open(file)
		if err != nil {
			return stagedLayer{}, layer.HostError(err)
		}
		defer f.Close()
		plain, err := layer.Decompress(f)
		if err != nil {
			return stagedLayer{}, layer.ArchiveFailure(err)
		}
		defer plain.Close()
		return s.stageLayer(ctx, st, plain, nil, budget)
	}
	return s.stageWritten(ctx, st, nil, budget, func(w io.Writer) error { return copyRoot(w, file) })
}

// stageWritten stages a layer of the tar that write writes.
func (s *Store) stageWritten(ctx context.Context, st *stage, below []string, budget *layer.Budget, write func(io.Writer) error) (stagedLayer, error) {
	out, in := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(in)
		in.CloseWithError(err)
		written <- err
	}()
	l, err := s.stageLayer(ctx, st, out, below, budget)
	out.CloseWithError(context.Canceled) // ends a writer that still writes
	if werr := <-written; ctx.Err() != nil {
		return stagedLayer{}, ctx.Err()
	} else if werr != nil && (err == nil || fail.Is(err, fail.Usage)) {
		return stagedLayer{}, werr // an invalid archive is a result of this error
	}
	return l, err
}

// copyRoot writes the entries of the tar archive name that are below rootfs/ to w, with
// names relative to it.
func copyRoot(w io.Writer, name string) error {
	out := tar.NewWriter(w)
	err := readTar(name, func(h *tar.Header, r io.Reader) error {
		var ok bool
		if h.Name, ok = belowRoot(h.Name); !ok {
			return nil
		}
		if h.Typeflag == tar.TypeLink {
			if h.Linkname, ok = belowRoot(h.Linkname); !ok {
				return fail.New(fail.Usage, "the image's file %s is a link to a file outside of its root filesystem", h.Name)
			}
		}
		maps.DeleteFunc(h.PAXRecords, func(key, _ string) bool { return strings.HasPrefix(key, "GNU.sparse.") }) // its holes are read as zeros
		h.Format = tar.FormatPAX
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		_, err := io.Copy(out, r)
		return err
	})
	if err != nil {
		return err
	}
	return out.Close()
}

func belowRoot(name string) (string, bool) {
	name, ok := strings.CutPrefix(strings.TrimPrefix(name, "./"), "rootfs")
	return "." + name, ok && (name == "" || name[0] == '/')
}
