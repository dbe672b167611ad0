package images

import (
	"cmp"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
)

// Annotations in the manifest of a backup.
const (
	AnnotationVPS       = "croft.vps"       // the settings of the VPS
	AnnotationSnapshots = "croft.snapshots" // the manifests of its snapshots, in the same archive
)

// AnnotationFormer in a descriptor of index.json has the name of a former image. A
// newer image has the name now, in org.opencontainers.image.ref.name.
const AnnotationFormer = "croft.former-name"

// The annotations in index.json of an image from a registry: the reference, and the
// digest of its manifest there. For one from a file it is the digest of the file. Other annotations, with the names of the labels
// below, hold facts that croft has found in the files of another tool's image.
const (
	AnnotationSource       = "croft.source"
	AnnotationSourceDigest = "croft.source-digest"
	AnnotationSourceFile   = "croft.source-file"   // of an image from a file: its size, times and number
	AnnotationImportedWith = "croft.imported-with" // of an image from a file: its ImportSettings, as JSON; missing if there are none
	annotationSigners      = "croft.signed-by"     // fingerprints with spaces between them
)

// The labels of an image's config for facts that OCI has no field for. croft also
// sets labels of org.opencontainers.image.* for other tools.
const (
	LabelDistribution = "croft.distribution"
	LabelRelease      = "croft.release"
	LabelVariant      = "croft.variant"
	labelInit         = "croft.init"
	LabelRecipe       = "croft.recipe"
	LabelContainerEnv = "croft.container-env"
	LabelBuild        = "croft.build" // of a layer that was built: the digest of what it is made of
	labelSize         = "croft.unpacked-size"
	LabelIdentity     = "croft.identity" // identityKept or missing
)

const identityKept = "kept"

// SetSigners records in annotations who has signed an image. No name has a blank.
func SetSigners(annotations map[string]string, signers []string) {
	if len(signers) > 0 {
		annotations[annotationSigners] = strings.Join(signers, " ")
	}
}

// imageOf returns the facts about an image. Labels in its config come first. found
// are the annotations with the facts that croft has found in its files.
func imageOf(c oci.Image, m oci.Manifest, found map[string]string) Image {
	said := func(label string) string { return cmp.Or(c.Config.Labels[label], found[label]) }
	im := Image{
		Distribution: said(LabelDistribution), Release: said(LabelRelease), Variant: said(LabelVariant),
		Architecture: c.Architecture, Init: said(labelInit), Recipe: said(LabelRecipe), ContainerEnv: said(LabelContainerEnv), KeepsIdentity: said(LabelIdentity) == identityKept,
		BuiltWith: parseBuildSettings(c.Config.Labels[labelBuiltWith]),
		Env:       c.Config.Env, Entrypoint: c.Config.Entrypoint, Cmd: c.Config.Cmd,
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

// ConfigOf returns the config of an image with its labels and history. imageOf
// reads it back.
func ConfigOf(im Image) oci.Image {
	created := im.Created.UTC().Truncate(time.Second)
	labels := map[string]string{labelSize: strconv.FormatInt(im.Size, 10)}
	for k, v := range map[string]string{
		LabelDistribution: im.Distribution, LabelRelease: im.Release, LabelVariant: im.Variant,
		labelInit: im.Init, LabelRecipe: im.Recipe, LabelContainerEnv: im.ContainerEnv, labelBuiltWith: im.BuiltWith.text(),
		oci.AnnotationVersion: im.Release,
		oci.AnnotationCreated: created.Format(time.RFC3339),
	} {
		if v != "" {
			labels[k] = v
		}
	}
	if im.KeepsIdentity {
		labels[LabelIdentity] = identityKept
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

// Annotations returns the annotations for an image of another tool: the facts that
// croft has found in its files.
func (im Image) Annotations(size int64) map[string]string {
	all := map[string]string{
		LabelDistribution: im.Distribution, LabelRelease: im.Release, labelInit: im.Init,
		LabelContainerEnv: im.ContainerEnv, labelSize: strconv.FormatInt(size, 10),
	}
	if !im.Created.IsZero() {
		all[oci.AnnotationCreated] = im.Created.UTC().Format(time.RFC3339)
	}
	maps.DeleteFunc(all, func(_, v string) bool { return v == "" })
	return all
}
