package template

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"croft/internal/atomicfile"
	"croft/internal/fail"
	"croft/template/layer"
)

// annotationFormer in a descriptor of index.json has the name of a former image. A
// newer image has the name now, in org.opencontainers.image.ref.name.
const annotationFormer = "croft.former-name"

// The annotations in index.json of an image from a registry: the reference, and the
// digest of its manifest there. Other annotations, with the names of the labels
// below, hold facts that croft has found in the files of another tool's image.
const (
	annotationSource       = "croft.source"
	annotationSourceDigest = "croft.source-digest"
)

// The labels of an image's config for facts that OCI has no field for. croft also
// sets labels of org.opencontainers.image.* for other tools.
const (
	labelDistribution = "croft.distribution"
	labelRelease      = "croft.release"
	labelVariant      = "croft.variant"
	labelInit         = "croft.init"
	labelRecipe       = "croft.recipe"
	labelContainerEnv = "croft.container-env"
	labelSize         = "croft.unpacked-size"
	labelIdentity     = "croft.identity" // identityKept or missing
)

const identityKept = "kept"

// maxJSON is the largest size of an index, manifest or config, in bytes: they may
// come from untrusted images.
const maxJSON = 8 << 20

func digestPath(d string) string { return strings.Replace(d, ":", "/", 1) }

func (s *Store) blobPath(d digest.Digest) string { return s.path("blobs", digestPath(d.String())) }

// writeLayoutFile marks the directory as an OCI image layout. No-op if it is marked.
func (s *Store) writeLayoutFile() error {
	name := s.path(oci.ImageLayoutFile)
	if _, err := os.Lstat(name); err == nil {
		return nil
	}
	b, err := json.Marshal(oci.ImageLayout{Version: oci.ImageLayoutVersion})
	if err != nil {
		return err
	}
	return layer.HostError(atomicfile.ReplaceShared(name, 0o644, b)) // without a lock
}

// replaceFile is atomicfile.Replace. The caller has the lock of the store.
func replaceFile(name string, b []byte) error {
	return layer.HostError(atomicfile.Replace(name, 0o644, b))
}

// syncFilesystem waits until the disk has all data written to dir's filesystem. It is
// cheaper than an fsync for each of a layer's ten thousand files.
func syncFilesystem(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return layer.HostError(err)
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return layer.HostError(fmt.Errorf("sync the filesystem of %s: %w", dir, err))
	}
	return nil
}

// index reads index.json. A missing file gives an empty index.
func (s *Store) index() (oci.Index, error) {
	ix := oci.Index{Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageIndex}
	err := readJSON(s.path(oci.ImageIndexFile), &ix)
	if errors.Is(err, fs.ErrNotExist) {
		return ix, nil
	}
	for _, d := range ix.Manifests {
		if derr := d.Digest.Validate(); derr != nil && err == nil {
			err = fail.New(fail.State, "the template index %s is damaged: digest %q: %w", s.path(oci.ImageIndexFile), d.Digest, derr)
		}
	}
	return ix, err
}

// putIndex replaces index.json. The caller has the store's lock.
func (s *Store) putIndex(ix oci.Index) error {
	b, err := json.MarshalIndent(ix, "", "  ")
	if err != nil {
		return err
	}
	// Remove files of a killed writer. The store is locked, so there is no other.
	if left, err := filepath.Glob(s.path("." + oci.ImageIndexFile + "-*")); err == nil {
		for _, file := range left {
			_ = os.Remove(file)
		}
	}
	return replaceFile(s.path(oci.ImageIndexFile), append(b, '\n'))
}

func readJSON(name string, into any) error {
	st, err := os.Stat(name)
	if err != nil {
		return layer.HostError(err)
	}
	if st.Size() > maxJSON {
		return fail.New(fail.State, "%s is damaged: it is too large (%d bytes)", name, st.Size())
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return layer.HostError(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fail.New(fail.State, "%s is damaged: %w", name, err)
	}
	return nil
}

// A stored image is an Image with its descriptor, manifest and config.
type stored struct {
	Image
	descriptor oci.Descriptor // of its manifest, as in index.json
	manifest   oci.Manifest
	config     digest.Digest
}

// read reads the image that d describes.
func (s *Store) read(d oci.Descriptor) (stored, error) {
	im := stored{descriptor: d}
	if err := s.readBlob(d.Digest, &im.manifest); err != nil {
		return im, err
	}
	var c oci.Image
	im.config = im.manifest.Config.Digest
	if err := s.readBlob(im.config, &c); err != nil {
		return im, err
	}
	if len(c.RootFS.DiffIDs) != len(im.manifest.Layers) {
		return im, fail.New(fail.State, "template %s is damaged: %d layers and %d diff ids", d.Digest, len(im.manifest.Layers), len(c.RootFS.DiffIDs))
	}
	im.Image = imageOf(c, im.manifest, d.Annotations)
	im.Source, im.SourceDigest = d.Annotations[annotationSource], d.Annotations[annotationSourceDigest]
	im.Digest = d.Digest.String()
	im.Name = d.Annotations[oci.AnnotationRefName]
	if former, ok := d.Annotations[annotationFormer]; ok {
		im.Name, im.Former = former, true
	}
	for _, l := range im.Layers {
		if err := digest.Digest(l).Validate(); err != nil {
			return im, fail.New(fail.State, "template %s is damaged: diff id %q: %w", d.Digest, l, err)
		}
	}
	return im, nil
}

func (s *Store) readBlob(d digest.Digest, into any) error {
	if err := d.Validate(); err != nil {
		return fail.New(fail.State, "the template store %s is damaged: digest %q: %w", s.dir, d, err)
	}
	err := readJSON(s.blobPath(d), into)
	if errors.Is(err, fs.ErrNotExist) {
		return fail.New(fail.State, "the template store %s is damaged: blob %s is missing", s.dir, d)
	}
	return err
}

// imageOf returns the facts about an image. Labels in its config come first. found
// are the annotations with the facts that croft has found in its files.
func imageOf(c oci.Image, m oci.Manifest, found map[string]string) Image {
	said := func(label string) string { return cmp.Or(c.Config.Labels[label], found[label]) }
	im := Image{
		Distribution: said(labelDistribution), Release: said(labelRelease), Variant: said(labelVariant),
		Architecture: c.Architecture, Init: said(labelInit), Recipe: said(labelRecipe), ContainerEnv: said(labelContainerEnv), KeepsIdentity: said(labelIdentity) == identityKept,
		Env: c.Config.Env, Entrypoint: c.Config.Entrypoint, Cmd: c.Config.Cmd,
		User: c.Config.User, WorkingDir: c.Config.WorkingDir, StopSignal: c.Config.StopSignal,
	}
	if c.Created != nil {
		im.Created = *c.Created
	} else if at, err := time.Parse(time.RFC3339, found[oci.AnnotationCreated]); err == nil {
		im.Created = at
	}
	for _, d := range c.RootFS.DiffIDs {
		im.Layers = append(im.Layers, d.String())
	}
	n, err := strconv.ParseInt(said(labelSize), 10, 64)
	if err != nil { // another tool has added it: the sizes of the blobs are an estimate
		for _, d := range m.Layers {
			n += d.Size
		}
	}
	im.Size = n
	return im
}

// configOf returns the config of an image with its labels and history. imageOf
// reads it back.
func configOf(im Image) oci.Image {
	created := im.Created.UTC().Truncate(time.Second)
	labels := map[string]string{labelSize: strconv.FormatInt(im.Size, 10)}
	for k, v := range map[string]string{
		labelDistribution: im.Distribution, labelRelease: im.Release, labelVariant: im.Variant,
		labelInit: im.Init, labelRecipe: im.Recipe, labelContainerEnv: im.ContainerEnv,
		oci.AnnotationVersion: im.Release,
		oci.AnnotationCreated: created.Format(time.RFC3339),
	} {
		if v != "" {
			labels[k] = v
		}
	}
	if im.KeepsIdentity {
		labels[labelIdentity] = identityKept
	}
	c := oci.Image{
		Created:  &created,
		Platform: oci.Platform{Architecture: im.Architecture, OS: "linux"},
		Config: oci.ImageConfig{Env: im.Env, Entrypoint: im.Entrypoint, Cmd: im.Cmd, Labels: labels,
			User: im.User, WorkingDir: im.WorkingDir, StopSignal: im.StopSignal},
		RootFS: oci.RootFS{Type: "layers"},
	}
	for _, l := range im.Layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, digest.Digest(l))
		c.History = append(c.History, oci.History{Created: &created, CreatedBy: "croft " + historyOf(im)})
	}
	return c
}

func historyOf(im Image) string {
	if im.Recipe != "" {
		return "template build " + im.Recipe
	}
	return "template import"
}

// diffID returns the diff id of im's layer i. read has checked that it is valid.
func (im stored) diffID(i int) digest.Digest { return digest.Digest(im.Layers[i]) }
