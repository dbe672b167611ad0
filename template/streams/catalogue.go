// Package streams reads the catalogues of image servers in the format simplestreams, as the
// servers of LXC, Incus, LXD and Ubuntu publish them, and downloads their files
// (https://documentation.ubuntu.com/lxd/latest/reference/remote_image_servers/). It stores
// catalogues in a cache, and nothing else. The caller checks the digests of files.
package streams

import (
	"cmp"
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"croft/internal/fail"
)

// An Image is the newest version of a product of a catalogue that has files for containers.
type Image struct {
	Product      string        `json:"product"`      // its unique name, such as debian:trixie:amd64:default
	Names        []string      `json:"names"`        // by which users choose it, such as debian/13
	Distribution string        `json:"distribution"` // as the catalogue writes it, such as Debian
	Release      string        `json:"release"`
	Variant      string        `json:"variant"`      // such as default or cloud; may be empty
	Architecture string        `json:"architecture"` // Debian's name of it
	Serial       string        `json:"serial"`       // of this version, such as 20260110_05:24
	Size         int64         `json:"size"`         // total size of its files, in bytes
	Digest       digest.Digest `json:"digest"`       // of the metadata and the root filesystem together
	Meta         File          `json:"-"`            // a tar archive with metadata.yaml; also with rootfs/ if Root has no path
	Root         File          `json:"-"`
}

// A File is a file on the server.
type File struct {
	Path   string // relative to the server's URL
	Digest digest.Digest
	Size   int64
	Kind   Kind
}

// A Kind is the format of a root filesystem.
type Kind string

// The formats that an Image can have.
const (
	Tar      Kind = "tar"      // a compressed tar archive
	Squashfs Kind = "squashfs" // an image of squashfs
	Unified  Kind = "unified"  // the directory rootfs in the archive with the metadata
)

// index is streams/v1/index.json.
type index struct {
	Format string `json:"format"`
	Index  map[string]struct {
		DataType string   `json:"datatype"`
		Path     string   `json:"path"`
		Products []string `json:"products"`
	} `json:"index"`
}

// parseIndex returns the paths of the catalogues of images that an index has.
func parseIndex(text []byte) ([]string, error) {
	var ix index
	if err := json.Unmarshal(text, &ix); err != nil {
		return nil, badCatalogue("its index: %w", err)
	}
	var paths []string
	for _, entry := range ix.Index {
		if entry.DataType != "image-downloads" || len(entry.Products) == 0 {
			continue
		}
		if err := checkPath(entry.Path); err != nil {
			return nil, err
		}
		paths = append(paths, entry.Path)
	}
	if len(paths) == 0 {
		return nil, badCatalogue("its index has no images")
	}
	slices.Sort(paths)
	return paths, nil
}

// badCatalogue returns fail.Usage for a server that publishes something invalid.
func badCatalogue(format string, args ...any) error {
	return fail.New(fail.Usage, "the server publishes an invalid catalogue: "+format, args...)
}

// checkPath refuses a path that leads out of the server's directory.
func checkPath(p string) error {
	if p == "" || path.Clean("/"+p) != "/"+p || strings.ContainsAny(p, "?#\\") {
		return badCatalogue("invalid path %q", p)
	}
	return nil
}

// products is a catalogue of images.
type products struct {
	Products map[string]product `json:"products"`
}

type product struct {
	Aliases      string             `json:"aliases"`
	Architecture string             `json:"arch"`
	Distribution string             `json:"os"`
	Release      string             `json:"release"`
	Variant      string             `json:"variant"`
	Versions     map[string]version `json:"versions"`
}

type version struct {
	Items map[string]item `json:"items"`
}

type item struct {
	FileType         string `json:"ftype"`
	Path             string `json:"path"`
	SHA256           string `json:"sha256"`
	Size             int64  `json:"size"`
	Combined         string `json:"combined_sha256"`
	CombinedTar      string `json:"combined_rootxz_sha256"`
	CombinedSquashfs string `json:"combined_squashfs_sha256"`
}

// parseProducts returns the images of a catalogue. A product without files for containers
// is left out.
func parseProducts(text []byte) ([]Image, error) {
	var all products
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, badCatalogue("%w", err)
	}
	var images []Image
	for name, p := range all.Products {
		im, err := p.newest()
		if err != nil {
			return nil, err
		}
		if im.Serial == "" {
			continue
		}
		im.Product, im.Distribution, im.Release, im.Variant, im.Architecture = name, p.Distribution, p.Release, p.Variant, p.Architecture
		for _, alias := range strings.Split(p.Aliases, ",") {
			if alias = strings.TrimSpace(alias); alias != "" {
				im.Names = append(im.Names, alias)
			}
		}
		images = append(images, im)
	}
	slices.SortFunc(images, func(a, b Image) int { return cmp.Compare(a.Product, b.Product) })
	return images, nil
}

// newest returns an image with the files of the newest version that has files for
// containers. Without one it has no serial. Serials begin with a date.
func (p product) newest() (Image, error) {
	var im Image
	for serial, v := range p.Versions {
		if serial <= im.Serial {
			continue
		}
		found, ok, err := v.image()
		if err != nil {
			return im, err
		}
		if ok {
			found.Serial = serial
			im = found
		}
	}
	return im, nil
}

// image returns the files of a version. It prefers a tar archive, which croft reads
// itself, to squashfs, which the kernel has to read.
func (v version) image() (Image, bool, error) {
	by := map[string]item{}
	for _, i := range v.Items {
		by[i.FileType] = i
	}
	for _, unified := range []string{"incus_combined.tar.gz", "lxd_combined.tar.gz"} {
		if i, ok := by[unified]; ok {
			return imageOf(i, item{}, Unified, i.SHA256)
		}
	}
	for _, name := range []string{"incus.tar.xz", "lxd.tar.xz"} {
		meta, ok := by[name]
		if !ok {
			continue
		}
		if root, ok := by["root.tar.xz"]; ok {
			return imageOf(meta, root, Tar, cmp.Or(meta.CombinedTar, meta.Combined))
		}
		if root, ok := by["squashfs"]; ok {
			return imageOf(meta, root, Squashfs, meta.CombinedSquashfs)
		}
	}
	return Image{}, false, nil
}

func imageOf(meta, root item, kind Kind, combined string) (im Image, ok bool, err error) {
	im = Image{Size: meta.Size + root.Size}
	if im.Meta, err = meta.file(Tar); err != nil {
		return im, false, err
	}
	if kind == Unified {
		im.Meta.Kind, im.Digest = Unified, im.Meta.Digest
		return im, true, nil
	}
	if im.Root, err = root.file(kind); err != nil {
		return im, false, err
	}
	if combined == "" {
		return im, false, badCatalogue("%s has no combined digest", meta.Path)
	}
	im.Digest, err = parseSum(combined)
	return im, err == nil, err
}

func (i item) file(kind Kind) (File, error) {
	d, err := parseSum(i.SHA256)
	if err == nil {
		err = checkPath(i.Path)
	}
	if err == nil && i.Size <= 0 {
		err = badCatalogue("%s has the size %d", i.Path, i.Size)
	}
	return File{Path: i.Path, Digest: d, Size: i.Size, Kind: kind}, err
}

func parseSum(hex string) (digest.Digest, error) {
	d := digest.NewDigestFromEncoded(digest.SHA256, hex)
	if err := d.Validate(); err != nil {
		return "", badCatalogue("sha256 %q: %w", hex, err)
	}
	return d, nil
}

// Find returns the image with this name for the architecture, Debian's name of it. A name is
// one of Image.Names, with /ARCHITECTURE after it or without, or Image.Product. It is
// fail.NotFound if there is none; the error lists similar names.
func Find(all []Image, name, architecture string) (Image, error) {
	var others []string // architectures that have the name
	for _, im := range all {
		if im.Product == name || slices.Contains(im.Names, strings.TrimSuffix(name, "/"+im.Architecture)) && strings.HasSuffix(name, "/"+im.Architecture) {
			return im, nil
		}
		if slices.Contains(im.Names, name) {
			if im.Architecture == architecture {
				return im, nil
			}
			others = append(others, im.Architecture)
		}
	}
	if len(others) > 0 {
		return Image{}, fail.New(fail.NotFound, "no image %q for %s, only for %s", name, architecture, strings.Join(others, ", "))
	}
	first, _, _ := strings.Cut(name, "/")
	var similar []string
	for _, im := range Search(all, []string{first}, architecture) {
		similar = append(similar, im.Name())
	}
	if len(similar) == 0 {
		return Image{}, fail.New(fail.NotFound, "no image %q", name)
	}
	if len(similar) > maxSimilar {
		similar = append(similar[:maxSimilar], "…")
	}
	return Image{}, fail.New(fail.NotFound, "no image %q; there is %s", name, strings.Join(similar, ", "))
}

// maxSimilar is how many names an error lists.
const maxSimilar = 8

// Name returns the shortest name of the image: debian/13 rather than debian/13/default.
func (im Image) Name() string {
	name := im.Product
	for n, alias := range im.Names {
		if n == 0 || len(alias) < len(name) {
			name = alias
		}
	}
	return name
}

// Search returns the images for the architecture in whose names and facts each word
// occurs, sorted by name. Case is ignored. An architecture "" means all.
func Search(all []Image, words []string, architecture string) []Image {
	var found []Image
	for _, im := range all {
		if architecture != "" && im.Architecture != architecture {
			continue
		}
		text := strings.ToLower(strings.Join(append([]string{im.Product, im.Distribution, im.Release, im.Variant}, im.Names...), " "))
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, strings.ToLower(w)) }) {
			found = append(found, im)
		}
	}
	slices.SortFunc(found, func(a, b Image) int {
		return cmp.Or(cmp.Compare(a.Name(), b.Name()), cmp.Compare(a.Architecture, b.Architecture))
	})
	return found
}
