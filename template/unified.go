package template

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"croft/internal/fail"
	"croft/template/layer"
	"croft/template/streams"
)

// imageMetadata is metadata.yaml of an image, and its files below templates/ by name.
type imageMetadata struct {
	streams.Metadata
	texts map[string]string
}

// Limits of the archive with the metadata of an image. An unpacked file that is larger is refused.
const (
	maxMetadata  = 1 << 20
	maxTemplates = 256
)

// readMetadata reads the metadata of an image from the tar archive name, which may also
// have its files.
func readMetadata(name string) (imageMetadata, error) {
	m := imageMetadata{texts: map[string]string{}}
	var yaml []byte
	err := readTar(name, func(h *tar.Header, r io.Reader) error {
		clean := strings.TrimPrefix(h.Name, "./")
		template, isTemplate := strings.CutPrefix(clean, "templates/")
		if h.Typeflag != tar.TypeReg || clean != metadataFile && !isTemplate {
			return nil
		}
		if h.Size > maxMetadata || len(m.texts) >= maxTemplates {
			return fail.New(fail.Usage, "the image's metadata is too large: %s", clean)
		}
		text, err := io.ReadAll(r)
		if isTemplate {
			m.texts[template] = string(text)
		} else {
			yaml = text
		}
		return err
	})
	if err != nil {
		return m, err
	}
	if yaml == nil {
		return m, fail.New(fail.Usage, "the image has no %s", metadataFile)
	}
	m.Metadata, err = streams.ParseMetadata(yaml)
	return m, err
}

// metadataFile describes an image of Incus or LXD.
const metadataFile = "metadata.yaml"

// isUnified reports whether t has the files of an image of Incus or LXD: its metadata, and
// its root filesystem in a directory.
func isUnified(t *layer.Tree) bool {
	return t.Exists(metadataFile) && t.Exists("rootfs") && !slices.ContainsFunc(rootNames, t.Exists)
}

// importUnified creates the template name from such files.
func (s *Store) importUnified(ctx context.Context, st *stage, name string, t *layer.Tree, o ImportOptions) (Image, error) {
	meta, err := metadataIn(t)
	if err != nil {
		return Image{}, err
	}
	budget := layer.NewBudget(o.MaxSize)
	root, err := s.stageWritten(ctx, st, nil, budget, func(w io.Writer) error {
		fd, err := t.OpenPlain("rootfs")
		if err != nil {
			return layer.HostError(err)
		}
		p := layer.NewPacker(ctx, w, layer.IDs{})
		p.Standalone = true
		return p.Pack(fd)
	})
	if err != nil {
		return Image{}, err
	}
	layers, err := s.withStatic(ctx, st, root, meta, budget)
	if err != nil {
		return Image{}, err
	}
	found, err := s.describeNew(st, layers)
	if err != nil {
		return Image{}, err
	}
	im := o.describe(name, found)
	im.Variant = cmp.Or(im.Variant, meta.Properties["variant"])
	if o.Created.IsZero() {
		im.Created = meta.Created()
	}
	return s.commit(ctx, st, im, layers...)
}

// metadataIn reads the metadata of an image from t.
func metadataIn(t *layer.Tree) (imageMetadata, error) {
	m := imageMetadata{texts: map[string]string{}}
	text, _, err := t.ReadFile(metadataFile, maxMetadata)
	if err != nil {
		return m, badImage("its %s: %w", metadataFile, err)
	}
	if m.Metadata, err = streams.ParseMetadata(text); err != nil {
		return m, err
	}
	for _, f := range m.Templates {
		if text, _, err := t.ReadFile("templates/"+f.Template, maxMetadata); err == nil && len(m.texts) < maxTemplates {
			m.texts[f.Template] = string(text) // one that is missing is reported as ignored
		}
	}
	return m, nil
}

// withStatic returns the layer root, and over it a layer of the files that the image's
// templates make in each VPS alike, if there are any.
func (s *Store) withStatic(ctx context.Context, st *stage, root stagedLayer, meta imageMetadata, budget *layer.Budget) ([]stagedLayer, error) {
	static, ignored, err := meta.Files(meta.texts)
	if err != nil {
		return nil, err
	}
	if len(ignored) > 0 {
		s.warn(fmt.Sprintf("croft does not fill in the image's templates of %s", strings.Join(ignored, ", ")))
	}
	if len(static) == 0 {
		return []stagedLayer{root}, nil
	}
	below := []string{st.path(layerName(root.diffID))}
	l, err := s.stageLayer(ctx, st, bytes.NewReader(tarOf(static, meta.Created())), below, budget)
	return []stagedLayer{root, l}, err
}

// describeNew describes the files of staged layers, the lowest first.
func (s *Store) describeNew(st *stage, layers []stagedLayer) (Image, error) {
	var ids []digest.Digest
	for _, l := range layers {
		ids = append(ids, l.diffID)
	}
	return s.describeLayers(st, ids)
}

// tarOf returns a tar archive with these files.
func tarOf(files []streams.StaticFile, at time.Time) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		// A bytes.Buffer takes all, and the names and sizes are those of the catalogue's limits.
		_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.Path, Size: int64(len(f.Text)), Mode: int64(f.Mode), Uid: f.UID, Gid: f.GID, ModTime: at, Format: tar.FormatPAX})
		_, _ = io.WriteString(w, f.Text)
	}
	_ = w.Close()
	return slices.Clone(b.Bytes())
}
