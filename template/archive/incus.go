package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"croft/internal/fail"
	"croft/template/facts"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/streams"
)

// CheckCombined compares the digest of two files, one after the other, with the one that
// names the image. It tells apart files that do not belong together.
func CheckCombined(want digest.Digest, files ...string) error {
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
	if got := images.Sum(h); got != want {
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
		case err == nil:
			err = each(h, r)
		case errors.Is(err, tar.ErrHeader):
			return fail.New(fail.Usage, "the image's archive is damaged: %w", err)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return fail.New(fail.Usage, "the image's archive is incomplete: %w", err)
		}
		if err != nil {
			return layer.ArchiveFailure(err)
		}
	}
}

// CopyRoot writes the entries of the tar archive name that are below rootfs/ to w, with
// names relative to it.
func CopyRoot(w io.Writer, name string) error {
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

// belowRoot returns the name below rootfs/ of an entry, relative to it. A ".." in it ends at
// the root directory, as it does when croft unpacks the entry.
func belowRoot(name string) (string, bool) {
	name, ok := strings.CutPrefix(strings.TrimPrefix(name, "./"), "rootfs")
	if slices.Contains(strings.Split(name, "/"), "..") {
		name = path.Clean(name)
	}
	return "." + name, ok && (name == "" || name[0] == '/')
}

// imageMetadata is metadata.yaml of an image, and its files below templates/ by name.
type Metadata struct {
	streams.Metadata
	Texts map[string]string
}

// Limits of the archive with the metadata of an image. An unpacked file that is larger is refused.
const (
	maxMetadata  = 1 << 20
	maxTemplates = 256
)

// ReadMetadata reads the metadata of an image from the tar archive name, which may also
// have its files.
func ReadMetadata(name string) (Metadata, error) {
	m := Metadata{Texts: map[string]string{}}
	var yaml []byte
	err := readTar(name, func(h *tar.Header, r io.Reader) error {
		clean := strings.TrimPrefix(h.Name, "./")
		template, isTemplate := strings.CutPrefix(clean, "templates/")
		if h.Typeflag != tar.TypeReg || clean != metadataFile && !isTemplate {
			return nil
		}
		if h.Size > maxMetadata || len(m.Texts) >= maxTemplates {
			return fail.New(fail.Usage, "the image's metadata is too large: %s", clean)
		}
		text, err := io.ReadAll(r)
		if isTemplate {
			m.Texts[template] = string(text)
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

// IsUnified reports whether t has the files of an image of Incus or LXD: its metadata, and
// its root filesystem in a directory.
func IsUnified(t *layer.Tree) bool {
	return t.Exists(metadataFile) && t.Exists("rootfs") && !facts.IsRoot(t)
}

// MetadataIn reads the metadata of an image from t.
func MetadataIn(t *layer.Tree) (Metadata, error) {
	m := Metadata{Texts: map[string]string{}}
	text, _, err := t.ReadFile(metadataFile, maxMetadata)
	if err != nil {
		return m, images.BadImage("its %s: %w", metadataFile, err)
	}
	if m.Metadata, err = streams.ParseMetadata(text); err != nil {
		return m, err
	}
	for _, f := range m.Templates {
		if text, _, err := t.ReadFile("templates/"+f.Template, maxMetadata); err == nil && len(m.Texts) < maxTemplates {
			m.Texts[f.Template] = string(text) // one that is missing is reported as ignored
		}
	}
	return m, nil
}

// Tar returns a tar archive with these files.
func Tar(files []streams.StaticFile, at time.Time) []byte {
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
