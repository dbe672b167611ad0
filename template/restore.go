package template

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/template/layer"
)

// A BackupUse says what to do with a backup that ImportBackup reads.
type BackupUse struct {
	// Check is called with the settings of the VPS, at the latest before files are
	// unpacked. It returns the name of the former image that the store gets. An error
	// ends the import.
	Check func(settings json.RawMessage) (name string, err error)
	// Use gives the image a user: see Remove. No Remove or Prune removes the image
	// before Use returns. After an error the image is removed again.
	Use func(im Image) error
	// Used is that of Remove.
	Used func() (map[string][]string, error)
}

// ImportBackup puts the image in a backup into the store, as a former image, and calls
// u.Use. Layers and blobs that the store has are shared. An archive that is cut, changed
// or not a backup is fail.Usage. After an error the store has no new image; a killed
// import leaves at most one that RemoveAbandoned removes.
func (s *Store) ImportBackup(ctx context.Context, r io.Reader, u BackupUse) error {
	if err := s.make(); err != nil {
		return err
	}
	st, err := s.newStage(ctx)
	if err != nil {
		return err
	}
	defer st.remove()
	in := cancellable(ctx, r)
	defer in.Close()
	plain, err := layer.Decompress(&counting{r: in, step: "importing", to: s.o.Progress})
	if err := layer.ArchiveFailure(err); fail.Is(err, fail.Usage) {
		return damaged("it is empty, or its compression is damaged")
	} else if err != nil {
		return err
	}
	defer plain.Close()
	d, err := s.stageBackup(ctx, st, plain, u)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	return s.publishBackup(ctx, st, d, u)
}

// stageBackup puts the image in the archive r into st.
func (s *Store) stageBackup(ctx context.Context, st *stage, r io.Reader, u BackupUse) (stagedImage, error) {
	a := archived{store: s, stage: st, check: u.Check}
	if err := a.read(ctx, r); err != nil {
		return stagedImage{}, err
	}
	if err := a.look(); err != nil {
		return stagedImage{}, err
	}
	if !a.checked {
		return stagedImage{}, fail.New(fail.Usage, "the archive is not complete, or it is not a backup of a VPS").WithHint("croft help export")
	}
	if err := a.checkArchitecture(); err != nil {
		return stagedImage{}, err
	}
	d, err := s.stageImage(ctx, st, &a, a.root, request{arch: goruntime.GOARCH, budget: layer.NewBudget(layer.Unlimited), backup: true})
	if err != nil {
		return stagedImage{}, err
	}
	d.name = a.name
	delete(d.manifest.Annotations, annotationSourceDigest) // it does not come from a registry
	return d, nil
}

// publishBackup puts the staged image into the store while its user comes into being.
func (s *Store) publishBackup(ctx context.Context, st *stage, d stagedImage, u BackupUse) error {
	pin := st.path(pinPrefix + d.manifest.Digest.Encoded())
	if err := os.WriteFile(pin, nil, 0o600); err != nil {
		return layer.HostError(err)
	}
	d.former = true
	im, err := s.publish(ctx, st, d)
	if err == nil {
		err = u.Use(im)
	}
	if err == nil {
		return nil
	}
	unlock, e := s.lock(context.WithoutCancel(ctx), storeLock)
	if e != nil {
		return errors.Join(err, e)
	}
	defer unlock()
	return errors.Join(err, s.unpin(pin, u.Used))
}

// pinPrefix and the digest of an image are the name of a file in a stage: that image
// gets a user, and must not be removed while the stage is in use.
const pinPrefix = "pin-"

// withPinned returns users with the images that commands are giving a user.
func (s *Store) withPinned(users map[string][]string) map[string][]string {
	all := map[string][]string{}
	maps.Copy(all, users)
	for _, file := range s.pins() {
		d := pinOf(file).String()
		all[d] = append(slices.Clone(all[d]), "an import")
	}
	return all
}

func (s *Store) pins() []string {
	all, _ := filepath.Glob(s.path("tmp", "stage-*", pinPrefix+"*")) // the pattern is valid
	return all
}

// RemoveAbandoned removes what killed commands have left, and the images of imports that
// were killed before the images had a user. used is that of Remove.
func (s *Store) RemoveAbandoned(ctx context.Context, used func() (map[string][]string, error)) error {
	if stages, _ := filepath.Glob(s.path("tmp", "stage-*")); len(stages) == 0 { // the pattern is valid
		return nil
	}
	unlock, err := s.lock(ctx, storeLock)
	if err != nil {
		return err
	}
	defer unlock()
	for _, pin := range s.pins() {
		f, err := lockDir(filepath.Dir(pin), flock.Stage)
		if fail.Is(err, fail.Busy) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = s.unpin(pin, used)
			f.Close()
		}
		if err != nil {
			return err
		}
	}
	return s.sweepStages()
}

// unpin removes a pin, and its former image if that has no user. The caller has the
// store's lock.
func (s *Store) unpin(pin string, used func() (map[string][]string, error)) error {
	if err := os.Remove(pin); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return layer.HostError(err)
	}
	ix, err := s.index()
	if err != nil {
		return err
	}
	users, err := used()
	if err != nil {
		return errors.Join(err, layer.HostError(os.WriteFile(pin, nil, 0o600)))
	}
	users = s.withPinned(users)
	var keep []oci.Descriptor
	for _, o := range ix.Manifests {
		if _, former := o.Annotations[annotationFormer]; !former || o.Digest != pinOf(pin) || len(users[o.Digest.String()]) > 0 {
			keep = append(keep, o)
		}
	}
	return s.keepOnly(ix, keep)
}

// pinOf returns the image that the file pin is for.
func pinOf(pin string) digest.Digest {
	return digest.NewDigestFromEncoded(digest.SHA256, strings.TrimPrefix(filepath.Base(pin), pinPrefix))
}

// archived is a source: the OCI image layout in a tar that is read once. Its blobs go
// straight into the stage.
type archived struct {
	store   *Store
	stage   *stage
	check   func(settings json.RawMessage) (name string, err error)
	index   []byte         // the file index.json; nil until it was read
	root    oci.Descriptor // of the manifest, once that was read
	checked bool
	config  oci.Descriptor
	name    string // that check returned
}

// damaged is the error for an archive that was cut or changed.
func damaged(format string, args ...any) error {
	return fail.New(fail.Usage, "the archive is damaged or not a backup of a VPS: "+format, args...)
}

// read reads the tar r to its end.
func (a *archived) read(ctx context.Context, r io.Reader) error {
	in := tar.NewReader(withContext(ctx, r))
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
		if err := json.NewDecoder(io.LimitReader(r, maxJSON)).Decode(&version); err != nil {
			return damaged("its %s: %w", name, err)
		}
		if !strings.HasPrefix(version.Version, "1.") {
			return badImage("unsupported layout version %q", version.Version)
		}
	case name == oci.ImageIndexFile:
		b, err := io.ReadAll(io.LimitReader(r, maxJSON))
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
	to := a.stage.path(blobName(d))
	linked, err := a.store.linkBlob(ctx, a.stage, oci.Descriptor{Digest: d})
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
	if got := sum(hash); got != d {
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
	t := &tee{r: r, w: out}
	_, err = io.Copy(io.Discard, t)
	if cerr := out.Close(); t.werr == nil {
		t.werr = cerr
	}
	if t.werr != nil {
		return layer.HostError(t.werr)
	}
	return readFailure(err)
}

// look checks the settings as soon as the index and the manifest are read.
func (a *archived) look() error {
	if a.checked || a.index == nil {
		return nil
	}
	if a.root.Digest == "" {
		ix, err := parseIndex(a.index)
		if err != nil {
			return err
		}
		if len(ix.Manifests) != 1 {
			return badImage("its index has %d images, and a backup has one", len(ix.Manifests))
		}
		a.root = ix.Manifests[0]
	}
	b, _, err := a.manifest(context.Background(), a.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	m, err := parseManifest(b)
	if err != nil {
		return err
	}
	settings, ok := m.Annotations[annotationVPS]
	if !ok {
		return fail.New(fail.Usage, "it is an image, and not a backup of a VPS: it has no settings").WithHint("croft help template import")
	}
	a.checked, a.config = true, m.Config
	a.name, err = a.check(json.RawMessage(settings))
	return err
}

// checkArchitecture is fail.Usage if this host cannot run the VPS.
func (a *archived) checkArchitecture() error {
	b, _, err := a.manifest(context.Background(), a.config)
	var c oci.Image
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return damaged("its config: %w", err)
	}
	if c.Architecture != "" && c.Architecture != goruntime.GOARCH {
		return fail.New(fail.Usage, "the VPS is for %s, and this host is linux/%s", platformText(c.Platform), goruntime.GOARCH)
	}
	return nil
}

func (a *archived) manifest(_ context.Context, d oci.Descriptor) ([]byte, oci.Descriptor, error) {
	f, err := os.Open(a.stage.path(blobName(d.Digest)))
	if err != nil {
		return nil, d, layer.HostError(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxJSON+1))
	if err == nil && len(b) > maxJSON {
		err = badImage("its manifest is too large")
	}
	return b, d, layer.HostError(err)
}

func (a *archived) fetch(ctx context.Context, st *stage, d oci.Descriptor) (string, error) {
	to := st.path(blobName(d.Digest))
	in, err := os.Stat(to)
	if errors.Is(err, fs.ErrNotExist) { // a parcel does not have what the store has
		var linked string
		if linked, err = a.store.linkBlob(ctx, st, d); err != nil {
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
