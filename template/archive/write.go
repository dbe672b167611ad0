package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/images"
	"croft/template/layer"
)

// An exportFile is a file of an export: its content is text, or that of the file
// from, or what stream writes, of the given size.
type File struct {
	Name   string
	Text   []byte
	From   string
	Stream func(ctx context.Context, w io.Writer) error
	Size   int64
}

// LayoutFiles returns the files of an OCI image layout with only im in its index, and with
// the blobs of others. The manifests are the first blobs. index.json is the last file.
func LayoutFiles(st *images.Stage, im images.Stored, others ...images.Stored) ([]File, error) {
	version, err := json.Marshal(oci.ImageLayout{Version: oci.ImageLayoutVersion})
	if err != nil {
		return nil, err
	}
	files := []File{{Name: oci.ImageLayoutFile, Text: version}}
	has := map[digest.Digest]bool{}
	all := append([]images.Stored{im}, others...)
	var blobs []oci.Descriptor
	for _, im := range all {
		blobs = append(blobs, im.Descriptor)
	}
	for _, im := range all {
		blobs = append(append(blobs, im.Manifest.Config), im.Manifest.Layers...)
	}
	for _, d := range blobs {
		if !has[d.Digest] {
			has[d.Digest] = true
			files = append(files, File{Name: BlobName(d.Digest), From: st.Path(images.BlobName(d.Digest)), Size: d.Size})
		}
	}
	d := im.Descriptor
	d.Annotations = map[string]string{oci.AnnotationRefName: im.Name}
	ix := oci.Index{MediaType: oci.MediaTypeImageIndex, Manifests: []oci.Descriptor{d}}
	ix.SchemaVersion = 2
	index, err := json.Marshal(ix)
	return append(files, File{Name: oci.ImageIndexFile, Text: index}), err
}

// WriteTar writes files as a tar. The time of all entries is the epoch, so that the
// same image gives the same bytes.
func WriteTar(ctx context.Context, w io.Writer, files []File) error {
	out := tar.NewWriter(w)
	made := map[string]bool{}
	for _, f := range files {
		if dir := path.Dir(f.Name); dir != "." && !made[dir] {
			for _, d := range []string{path.Dir(dir), dir} {
				if d == "." || made[d] {
					continue
				}
				made[d] = true
				if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: d + "/", Mode: 0o755, ModTime: time.Unix(0, 0)}); err != nil {
					return layer.HostError(err)
				}
			}
		}
		if err := f.copyTo(ctx, out); err != nil {
			return layer.HostError(fmt.Errorf("write %s: %w", f.Name, err))
		}
	}
	return layer.HostError(out.Close())
}

// copyTo writes the content of f to the tar out, after its header.
func (f File) copyTo(ctx context.Context, out *tar.Writer) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Size: f.Size, Mode: 0o644, ModTime: time.Unix(0, 0)}
	if f.Stream != nil {
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		return f.Stream(ctx, out)
	}
	r, size, err := f.open()
	if err != nil {
		return err
	}
	defer r.Close()
	header.Size = size
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(out, WithContext(ctx, r))
	return err
}

func (f File) open() (io.ReadCloser, int64, error) {
	if f.From == "" {
		return io.NopCloser(bytes.NewReader(f.Text)), int64(len(f.Text)), nil
	}
	r, err := os.Open(f.From)
	if err != nil {
		return nil, 0, layer.HostError(err)
	}
	in, err := r.Stat()
	if err != nil {
		r.Close()
		return nil, 0, layer.HostError(err)
	}
	return r, in.Size(), nil
}

// CheckEmpty returns fail.Taken if the directory has files. A missing one is empty.
func CheckEmpty(dir string) error {
	left, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return layer.HostError(err)
	}
	if len(left) > 0 {
		return fail.New(fail.Taken, "%s is not empty", dir)
	}
	return nil
}

// WriteDir writes files into the directory dir, which must be missing or empty.
// After an error it is as before.
func WriteDir(ctx context.Context, dir string, files []File) (err error) {
	made := true
	if err := os.Mkdir(dir, 0o755); errors.Is(err, fs.ErrExist) {
		made = false
		if err := CheckEmpty(dir); err != nil {
			return err
		}
	} else if err != nil {
		return layer.HostError(err)
	}
	defer func() {
		if err == nil {
			return
		}
		for _, f := range []string{oci.ImageLayoutFile, oci.ImageBlobsDir, oci.ImageIndexFile} {
			err = errors.Join(err, images.RemoveTree(filepath.Join(dir, f)))
		}
		if made {
			err = errors.Join(err, os.Remove(dir))
		}
	}()
	for _, f := range files {
		if err := writeExported(ctx, filepath.Join(dir, f.Name), f); err != nil {
			return err
		}
	}
	return nil
}

func writeExported(ctx context.Context, to string, f File) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return layer.HostError(err)
	}
	r, _, err := f.open()
	if err != nil {
		return err
	}
	defer r.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return layer.HostError(err)
	}
	_, err = io.Copy(out, WithContext(ctx, r))
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return layer.HostError(err)
}
