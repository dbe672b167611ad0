package backups

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	goruntime "runtime"
	"strings"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/archive"
	"croft/template/images"
	"croft/template/layer"
)

// archived is a source: the OCI image layout in a tar that is read once. Its blobs go
// straight into the stage.
type archived struct {
	store   *images.Store
	stage   *images.Stage
	use     Use
	index   []byte         // the file index.json; nil until it was read
	root    oci.Descriptor // of the manifest, once that was read
	checked bool
	config  oci.Descriptor
	name    string // that Check returned

	snapshots []snapshotRef // that are used
	found     []SnapshotSettings
	lacks     string // a snapshot whose manifest was not read yet
}

// damaged is the error for an archive that was cut or changed.
func damaged(format string, args ...any) error {
	return fail.New(fail.Usage, "the archive is damaged or not a backup of a VPS: "+format, args...)
}

// read reads the tar r to its end.
func (a *archived) read(ctx context.Context, r io.Reader) error {
	in := tar.NewReader(archive.WithContext(ctx, r))
	for {
		h, err := in.Next()
		if err == io.EOF {
			_, err = io.Copy(io.Discard, r) // the writer of a pipe ends in peace
			return readFailure(err)
		}
		if err != nil {
			return readFailure(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := a.file(ctx, h.Name, in); err != nil {
			return err
		}
	}
}

// readFailure is the error for a tar that cannot be read.
func readFailure(err error) error {
	var said *fail.Error
	if err == nil || errors.As(err, &said) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return damaged("%w", err)
}

// file reads a file of the archive.
func (a *archived) file(ctx context.Context, name string, r io.Reader) error {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	hex, isBlob := strings.CutPrefix(name, oci.ImageBlobsDir+"/sha256/")
	switch d := digest.NewDigestFromEncoded(digest.SHA256, hex); {
	case name == oci.ImageLayoutFile:
		var version oci.ImageLayout
		if err := json.NewDecoder(io.LimitReader(r, images.MaxJSON)).Decode(&version); err != nil {
			return damaged("its %s: %w", name, err)
		}
		if !strings.HasPrefix(version.Version, "1.") {
			return images.BadImage("unsupported layout version %q", version.Version)
		}
	case name == oci.ImageIndexFile:
		b, err := io.ReadAll(io.LimitReader(r, images.MaxJSON))
		if err != nil {
			return readFailure(err)
		}
		a.index = b
		return a.look()
	case isBlob && d.Validate() == nil:
		if err := a.blob(ctx, d, r); err != nil {
			return err
		}
		return a.look()
	}
	return nil
}

// blob puts a blob into the stage. If the store has it, it is only read.
func (a *archived) blob(ctx context.Context, d digest.Digest, r io.Reader) error {
	to := a.stage.Path(images.BlobName(d))
	linked, err := a.store.LinkBlob(ctx, a.stage, oci.Descriptor{Digest: d})
	if err != nil {
		return err
	}
	hash := sha256.New()
	if linked != "" {
		_, err = io.Copy(hash, r)
		err = readFailure(err)
	} else {
		err = writeBlobFile(to, io.TeeReader(r, hash))
	}
	if err != nil {
		return err
	}
	if got := images.Sum(hash); got != d {
		return damaged("its blob %s has digest %s", d, got)
	}
	return nil
}

// writeBlobFile makes the new file to have the content of r. An error of r is one of the
// archive.
func writeBlobFile(to string, r io.Reader) error {
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return layer.HostError(err)
	}
	t := &images.Tee{R: r, W: out}
	_, err = io.Copy(io.Discard, t)
	if cerr := out.Close(); t.WriteErr == nil {
		t.WriteErr = cerr
	}
	if t.WriteErr != nil {
		return layer.HostError(t.WriteErr)
	}
	return readFailure(err)
}

// look checks the settings as soon as the index and the manifest are read.
func (a *archived) look() error {
	if a.checked || a.index == nil {
		return nil
	}
	if a.root.Digest == "" {
		ix, err := images.ParseIndex(a.index)
		if err != nil {
			return err
		}
		if len(ix.Manifests) != 1 {
			return images.BadImage("its index has %d images, and a backup has one", len(ix.Manifests))
		}
		a.root = ix.Manifests[0]
	}
	b, _, err := a.Manifest(context.Background(), a.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	m, err := images.ParseManifest(b)
	if err != nil {
		return err
	}
	settings, ok := m.Annotations[images.AnnotationVPS]
	if !ok {
		return fail.New(fail.Usage, "it is an image, and not a backup of a VPS: it has no settings").WithHint("croft help template import")
	}
	if a.use.Snapshots != nil {
		if all, err := a.lookAtSnapshots(m); err != nil || !all {
			return err
		}
	}
	a.checked, a.config = true, m.Config
	if a.name, err = a.use.Check(json.RawMessage(settings)); err == nil && len(a.found) > 0 {
		err = a.use.Snapshots(a.found)
	}
	return err
}

// checkArchitecture is fail.Usage if this host cannot run the VPS.
func (a *archived) checkArchitecture() error {
	b, _, err := a.Manifest(context.Background(), a.config)
	var c oci.Image
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return damaged("its config: %w", err)
	}
	if c.Architecture != "" && c.Architecture != goruntime.GOARCH {
		return fail.New(fail.Usage, "the VPS is for %s, and this host is linux/%s", images.PlatformText(c.Platform), goruntime.GOARCH)
	}
	return nil
}

// Manifest reads a manifest in the stage.
func (a *archived) Manifest(_ context.Context, d oci.Descriptor) ([]byte, oci.Descriptor, error) {
	f, err := os.Open(a.stage.Path(images.BlobName(d.Digest)))
	if err != nil {
		return nil, d, layer.HostError(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, images.MaxJSON+1))
	if err == nil && len(b) > images.MaxJSON {
		err = images.BadImage("its manifest is too large")
	}
	return b, d, layer.HostError(err)
}

// Fetch returns the file of a blob, which the stage or the store has.
func (a *archived) Fetch(ctx context.Context, st *images.Stage, d oci.Descriptor) (string, error) {
	to := st.Path(images.BlobName(d.Digest))
	in, err := os.Stat(to)
	if errors.Is(err, fs.ErrNotExist) { // a parcel does not have what the store has
		var linked string
		if linked, err = a.store.LinkBlob(ctx, st, d); err != nil {
			return "", err
		}
		if linked == "" {
			err = fs.ErrNotExist
		} else {
			in, err = os.Stat(to)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", damaged("its blob %s is missing", d.Digest)
	case err != nil:
		return "", layer.HostError(err)
	case in.Size() != d.Size:
		return "", damaged("its blob %s does not have the expected size of %d bytes", d.Digest, d.Size)
	}
	return to, nil
}
