package template

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/layer"
	"croft/template/rootfs"
)

// A Format is a file format of Export. The names are those of skopeo.
type Format string

// Formats of Export.
const (
	FormatOCIArchive    Format = "oci-archive"    // an OCI image layout as a tar
	FormatOCI           Format = "oci"            // an OCI image layout in a directory
	FormatDockerArchive Format = "docker-archive" // an archive for docker load
	FormatRootfs        Format = "rootfs"         // a tar of the files that a VPS sees
)

// ExportOptions are optional settings of Export.
type ExportOptions struct {
	Format Format // "" is FormatOCIArchive
	Gzip   bool   // compress layers by gzip, for tools without zstd; the image then has another digest
	Dir    string // the directory for FormatOCI: missing or empty
}

// Export writes the image that text names to w, or with FormatOCI into the
// directory o.Dir. An OCI layout contains the image byte for byte, unless o.Gzip is
// set. A missing image is fail.NotFound, a directory with files fail.Taken. After
// an error o.Dir is as before, and w has received a part.
func (s *Store) Export(ctx context.Context, text string, w io.Writer, o ExportOptions) error {
	im, st, err := s.linkImage(ctx, text)
	if err != nil {
		return err
	}
	defer st.remove()
	if o.Format == FormatOCI {
		if err := checkEmpty(o.Dir); err != nil {
			return err
		}
	}
	s.progress(Update{Step: "exporting " + im.Name})
	if o.Format == FormatRootfs {
		return s.exportRootfs(ctx, st, im, w)
	}
	if o.Format == FormatDockerArchive {
		return s.exportDocker(ctx, st, im, w)
	}
	if o.Gzip {
		if im, err = s.recompress(ctx, st, im); err != nil {
			return err
		}
	}
	files, err := layoutFiles(st, im)
	if err != nil {
		return err
	}
	if o.Format == FormatOCI {
		return writeDir(ctx, o.Dir, files)
	}
	return writeTar(ctx, w, files)
}

// An exportFile is a file of an export: its content is text, or that of the file
// from, or what stream writes, of the given size.
type exportFile struct {
	name   string
	text   []byte
	from   string
	stream func(ctx context.Context, w io.Writer) error
	size   int64
}

// layoutFiles returns the files of an OCI image layout with only im in it.
// index.json is the last one.
func layoutFiles(st *stage, im stored) ([]exportFile, error) {
	version, err := json.Marshal(oci.ImageLayout{Version: oci.ImageLayoutVersion})
	if err != nil {
		return nil, err
	}
	files := []exportFile{{name: oci.ImageLayoutFile, text: version}}
	has := map[digest.Digest]bool{}
	for _, d := range append([]oci.Descriptor{im.descriptor, im.manifest.Config}, im.manifest.Layers...) {
		if !has[d.Digest] {
			has[d.Digest] = true
			files = append(files, exportFile{name: layoutBlob(d.Digest), from: st.path(blobName(d.Digest)), size: d.Size})
		}
	}
	d := im.descriptor
	d.Annotations = map[string]string{oci.AnnotationRefName: im.Name}
	ix := oci.Index{MediaType: oci.MediaTypeImageIndex, Manifests: []oci.Descriptor{d}}
	ix.SchemaVersion = 2
	index, err := json.Marshal(ix)
	return append(files, exportFile{name: oci.ImageIndexFile, text: index}), err
}

// exportDocker writes im in the format of docker save
// (https://github.com/moby/docker-image-spec, "Combined Image JSON").
func (s *Store) exportDocker(ctx context.Context, st *stage, im stored, w io.Writer) error {
	config := im.config.Encoded() + ".json"
	files := []exportFile{{name: config, from: st.path(blobName(im.config))}}
	said := dockerImage{Config: config, RepoTags: []string{im.Name + ":latest"}}
	for i, d := range im.manifest.Layers {
		name := im.diffID(i).Encoded() + ".tar"
		said.Layers = append(said.Layers, name)
		plain := st.path("plain-" + im.diffID(i).Encoded())
		if _, err := os.Lstat(plain); err == nil {
			continue
		}
		out := sha256.New()
		if err := convert(ctx, st.path(blobName(d.Digest)), plain, func(w io.Writer) io.WriteCloser { return nopCloser{io.MultiWriter(w, out)} }); err != nil {
			return err
		}
		if got := sum(out); got != im.diffID(i) {
			return fail.New(fail.State, "the template store %s is damaged: layer %s has digest %s", s.dir, im.diffID(i), got)
		}
		files = append(files, exportFile{name: name, from: plain})
	}
	text, err := json.Marshal([]dockerImage{said})
	if err != nil {
		return err
	}
	return writeTar(ctx, w, append(files, exportFile{name: dockerManifestFile, text: text}))
}

// recompress returns im with layers compressed by gzip. Their blobs and the new
// manifest are in st.
func (s *Store) recompress(ctx context.Context, st *stage, im stored) (stored, error) {
	m := im.manifest
	m.Layers = nil
	for _, d := range im.manifest.Layers {
		to := st.path("gzip")
		out := &hashed{hash: sha256.New()}
		err := convert(ctx, st.path(blobName(d.Digest)), to, func(w io.Writer) io.WriteCloser {
			out.w = w
			return gzip.NewWriter(out)
		})
		if err != nil {
			return im, err
		}
		l := oci.Descriptor{MediaType: oci.MediaTypeImageLayerGzip, Digest: sum(out.hash), Size: out.size}
		if err := os.Rename(to, st.path(blobName(l.Digest))); err != nil {
			return im, layer.HostError(err)
		}
		m.Layers = append(m.Layers, l)
	}
	d, err := st.writeJSON(oci.MediaTypeImageManifest, m)
	if err != nil {
		return im, err
	}
	d.Platform = im.descriptor.Platform
	im.manifest, im.descriptor = m, d
	return im, nil
}

// hashed passes on written data, and takes their digest and size.
type hashed struct {
	w    io.Writer
	hash hash.Hash
	size int64
}

func (h *hashed) Write(p []byte) (int, error) {
	n, err := h.w.Write(p)
	h.hash.Write(p[:n])
	h.size += int64(n)
	return n, err
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// convert decompresses the blob in the file from, and writes it through pack into
// the new file to.
func convert(ctx context.Context, from, to string, pack func(io.Writer) io.WriteCloser) error {
	f, err := os.Open(from)
	if err != nil {
		return layer.HostError(err)
	}
	defer f.Close()
	plain, err := layer.Decompress(withContext(ctx, f))
	if err != nil {
		return layer.ArchiveFailure(err)
	}
	defer plain.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return layer.HostError(err)
	}
	w := pack(out)
	_, err = io.Copy(w, plain)
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return layer.ArchiveFailure(err)
}

// exportRootfs writes a tar of the files that a new VPS of im sees.
func (s *Store) exportRootfs(ctx context.Context, st *stage, im stored, w io.Writer) error {
	if err := s.unpackMissing(ctx, im); err != nil {
		return err
	}
	dirs, err := s.LayerDirs(im.Image)
	if err != nil {
		return err
	}
	err = rootfs.WithMerged(st.path("merged"), dirs, func(root string) error {
		fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return layer.HostError(err)
		}
		p := layer.NewPacker(ctx, w, layer.IDs{})
		p.Standalone, p.MinHoles = true, layer.MinHolesRootfs
		return p.Pack(fd)
	})
	if err != nil {
		return layer.HostError(err)
	}
	// The image may have been removed meanwhile. Then the tar is not complete, and
	// the layers are missing now: a removal renames them first.
	_, err = s.LayerDirs(im.Image)
	return err
}

// writeTar writes files as a tar. The time of all entries is the epoch, so that the
// same image gives the same bytes.
func writeTar(ctx context.Context, w io.Writer, files []exportFile) error {
	out := tar.NewWriter(w)
	made := map[string]bool{}
	for _, f := range files {
		if dir := path.Dir(f.name); dir != "." && !made[dir] {
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
			return layer.HostError(fmt.Errorf("write %s: %w", f.name, err))
		}
	}
	return layer.HostError(out.Close())
}

// copyTo writes the content of f to the tar out, after its header.
func (f exportFile) copyTo(ctx context.Context, out *tar.Writer) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: f.size, Mode: 0o644, ModTime: time.Unix(0, 0)}
	if f.stream != nil {
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		return f.stream(ctx, out)
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
	_, err = io.Copy(out, withContext(ctx, r))
	return err
}

func (f exportFile) open() (io.ReadCloser, int64, error) {
	if f.from == "" {
		return io.NopCloser(bytes.NewReader(f.text)), int64(len(f.text)), nil
	}
	r, err := os.Open(f.from)
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

// checkEmpty returns fail.Taken if the directory has files. A missing one is empty.
func checkEmpty(dir string) error {
	left, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return layer.HostError(err)
	}
	if len(left) > 0 {
		return fail.New(fail.Taken, "%s is not empty", dir)
	}
	return nil
}

// writeDir writes files into the directory dir, which must be missing or empty.
// After an error it is as before.
func writeDir(ctx context.Context, dir string, files []exportFile) (err error) {
	made := true
	if err := os.Mkdir(dir, 0o755); errors.Is(err, fs.ErrExist) {
		made = false
		if err := checkEmpty(dir); err != nil {
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
			err = errors.Join(err, removeTree(filepath.Join(dir, f)))
		}
		if made {
			err = errors.Join(err, os.Remove(dir))
		}
	}()
	for _, f := range files {
		if err := writeExported(ctx, filepath.Join(dir, f.name), f); err != nil {
			return err
		}
	}
	return nil
}

func writeExported(ctx context.Context, to string, f exportFile) error {
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
	_, err = io.Copy(out, withContext(ctx, r))
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return layer.HostError(err)
}
