package template

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"os"

	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/archive"
	"croft/template/images"
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
	im, st, err := s.LinkImage(ctx, text)
	if err != nil {
		return err
	}
	defer st.Remove()
	if o.Format == FormatOCI {
		if err := archive.CheckEmpty(o.Dir); err != nil {
			return err
		}
	}
	s.Report(Update{Step: "exporting " + im.Name})
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
	files, err := archive.LayoutFiles(st, im)
	if err != nil {
		return err
	}
	if o.Format == FormatOCI {
		return archive.WriteDir(ctx, o.Dir, files)
	}
	return archive.WriteTar(ctx, w, files)
}

// exportDocker writes im in the format of docker save
// (https://github.com/moby/docker-image-spec, "Combined Image JSON").
func (s *Store) exportDocker(ctx context.Context, st *images.Stage, im images.Stored, w io.Writer) error {
	config := im.Config.Encoded() + ".json"
	files := []archive.File{{Name: config, From: st.Path(images.BlobName(im.Config))}}
	said := archive.DockerImage{Config: config, RepoTags: []string{im.Name + ":latest"}}
	for i, d := range im.Manifest.Layers {
		name := im.DiffID(i).Encoded() + ".tar"
		said.Layers = append(said.Layers, name)
		plain := st.Path("plain-" + im.DiffID(i).Encoded())
		if _, err := os.Lstat(plain); err == nil {
			continue
		}
		out := sha256.New()
		if err := convert(ctx, st.Path(images.BlobName(d.Digest)), plain, func(w io.Writer) io.WriteCloser { return layer.NopCloser(io.MultiWriter(w, out)) }); err != nil {
			return err
		}
		if got := images.Sum(out); got != im.DiffID(i) {
			return fail.New(fail.State, "the template store %s is damaged: layer %s has digest %s", s.Dir(), im.DiffID(i), got)
		}
		files = append(files, archive.File{Name: name, From: plain})
	}
	text, err := json.Marshal([]archive.DockerImage{said})
	if err != nil {
		return err
	}
	return archive.WriteTar(ctx, w, append(files, archive.File{Name: archive.DockerManifest, Text: text}))
}

// recompress returns im with layers compressed by gzip. Their blobs and the new
// manifest are in st.
func (s *Store) recompress(ctx context.Context, st *images.Stage, im images.Stored) (images.Stored, error) {
	m := im.Manifest
	m.Layers = nil
	for _, d := range im.Manifest.Layers {
		to := st.Path("gzip")
		var out *images.DigestWriter
		err := convert(ctx, st.Path(images.BlobName(d.Digest)), to, func(w io.Writer) io.WriteCloser {
			out = images.NewDigestWriter(w)
			return gzip.NewWriter(out)
		})
		if err != nil {
			return im, err
		}
		l := oci.Descriptor{MediaType: oci.MediaTypeImageLayerGzip, Digest: out.Digest(), Size: out.Size()}
		if err := os.Rename(to, st.Path(images.BlobName(l.Digest))); err != nil {
			return im, layer.HostError(err)
		}
		m.Layers = append(m.Layers, l)
	}
	d, err := st.WriteJSON(oci.MediaTypeImageManifest, m)
	if err != nil {
		return im, err
	}
	d.Platform = im.Descriptor.Platform
	im.Manifest, im.Descriptor = m, d
	return im, nil
}

// convert decompresses the blob in the file from, and writes it through pack into
// the new file to.
func convert(ctx context.Context, from, to string, pack func(io.Writer) io.WriteCloser) error {
	f, err := os.Open(from)
	if err != nil {
		return layer.HostError(err)
	}
	defer f.Close()
	plain, err := layer.Decompress(archive.WithContext(ctx, f))
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
func (s *Store) exportRootfs(ctx context.Context, st *images.Stage, im images.Stored, w io.Writer) error {
	if err := s.UnpackMissing(ctx, im); err != nil {
		return err
	}
	dirs, err := s.LayerDirs(im.Image)
	if err != nil {
		return err
	}
	err = rootfs.WithMerged(st.Path("merged"), dirs, func(root string) error {
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
