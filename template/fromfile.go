package template

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	goruntime "runtime"
	"strings"

	"al.essio.dev/pkg/shellescape"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/archive"
	"croft/template/facts"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/recipe"
)

// A source is a file or directory that an image was or will be imported from, as it is now.
type source struct {
	archive.Reference
	dir    bool
	stat   string        // size, times and number of a file; they change if the file does
	digest digest.Digest // of a file, or of the manifest in a directory
}

// made reports whether im was imported from the source as it is now.
func (f source) made(im Image) bool {
	return im.Source == f.String() && im.SourceDigest == f.digest.String()
}

// origin returns the annotations of an image from the source.
func (f source) origin(with images.ImportSettings) map[string]string {
	all := map[string]string{images.AnnotationSource: f.String(), images.AnnotationSourceDigest: f.digest.String()}
	for key, text := range map[string]string{images.AnnotationSourceFile: f.stat, images.AnnotationImportedWith: with.Text()} {
		if text != "" {
			all[key] = text
		}
	}
	return all
}

// sourceOf returns the file or directory of an import; ok is false for a stream, which may have
// a name too, such as /dev/stdin.
func (s *Store) sourceOf(ctx context.Context, o ImportOptions) (from source, ok bool, err error) {
	at, err := archive.Reference{Path: cmp.Or(o.Dir, o.File), Image: o.Image}.Absolute()
	if o.Dir == "" && o.File == "" || err != nil {
		return source{}, false, err
	}
	info, err := os.Stat(at.Path)
	if err != nil || !info.IsDir() && !info.Mode().IsRegular() || strings.HasPrefix(at.Path, "/dev/") || strings.HasPrefix(at.Path, "/proc/") {
		return source{}, false, nil // the reader is open, whatever its name is
	}
	from, err = s.look(ctx, at, o.architecture(), Image{})
	if err != nil && info.IsDir() {
		return source{}, false, nil // the import finds that too
	}
	return from, err == nil, err
}

// RefersToFile reports whether text names a file or a directory, of which Ensure makes a
// template. A text that begins like that and is wrong is fail.Usage.
func RefersToFile(text string) (bool, error) {
	_, ok, err := archive.ParseReference(text)
	return ok, err
}

// FileOf returns the file or directory that a Source names; ok is false for a source elsewhere.
func FileOf(source string) (path string, ok bool) {
	r, ok, err := archive.ParseReference(source)
	return r.Path, ok && err == nil
}

// isFile reports whether text is the name of a file or a directory.
func isFile(text string) bool {
	_, err := os.Stat(text)
	return err == nil
}

// ensureFile is Ensure for a file or a directory.
func (s *Store) ensureFile(ctx context.Context, at archive.Reference) (Image, error) {
	at, err := at.Absolute()
	if err != nil {
		return Image{}, err
	}
	im, have, err := s.madeFrom(at.String())
	if err != nil {
		return Image{}, err
	}
	name := im.Name
	if !have {
		if name, err = nameIn(at); err != nil {
			return Image{}, err
		}
	}
	unlock, err := s.LockName(ctx, name)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	if im, have, err = s.madeFrom(at.String()); err != nil { // another process may have imported it meanwhile
		return Image{}, err
	}
	now, err := s.look(ctx, at, goruntime.GOARCH, im.Image)
	switch {
	case fail.Is(err, fail.NotFound) && have:
		return Image{}, fail.New(fail.NotFound, "%w; template %s was imported from it", err, name).WithHint("croft template inspect %s", name)
	case err != nil:
		return Image{}, err
	case have && now.made(im.Image):
		return im.Image, s.UnpackMissing(ctx, im)
	case have:
		s.Warn(fmt.Sprintf("%s has changed; importing it again as %s", at, name))
	default:
		s.Warn(fmt.Sprintf("no template is from %s yet; importing it as %s", at, name))
	}
	return s.importFrom(ctx, name, now, goruntime.GOARCH, images.ImportSettings{})
}

// nameIn returns the name of a template from at. It is fail.Usage if at gives none that is valid.
func nameIn(at archive.Reference) (string, error) {
	name := at.TemplateName()
	if err := recipe.CheckName(name); err != nil {
		return "", fail.New(fail.Usage, "cannot make a template name from %s: %w", at, err).WithHint("croft template import NAME %s", at.Path)
	}
	return name, nil
}

// originIn returns the image at a file or directory.
func (s *Store) originIn(at archive.Reference) origin {
	return origin{at.String(), at.TemplateName(), func(ctx context.Context, o PullOptions) (Image, error) {
		old, err := s.Find(images.Ref{Name: o.Name})
		if err != nil && !fail.Is(err, fail.NotFound) {
			return Image{}, err
		}
		now, err := s.look(ctx, chosenIn(at, old.Image), o.Architecture, old.Image)
		if err != nil {
			return Image{}, err
		}
		if now.made(old.Image) {
			return old.Image, s.UnpackMissing(ctx, old)
		}
		return s.importFrom(ctx, o.Name, now, o.Architecture, old.ImportedWith)
	}, func(ctx context.Context, im Image, _ bool) (digest.Digest, error) {
		now, err := s.look(ctx, chosenIn(at, im), im.Architecture, im)
		return now.digest, err
	}}
}

// chosenIn returns the reference to that of the images at a file or directory from which im was imported.
func chosenIn(at archive.Reference, im Image) archive.Reference {
	at.Image = cmp.Or(at.Image, im.ImportedWith.Image)
	return at
}

// look returns the file or directory at as it is now. It does not read a file again from which
// known was imported, if that has not changed since.
func (s *Store) look(ctx context.Context, at archive.Reference, arch string, known Image) (source, error) {
	now := source{Reference: at}
	var st unix.Stat_t
	if err := unix.Stat(at.Path, &st); err != nil {
		return now, fail.Open(at.Path, err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		now.dir = true
		d, err := digestInDir(ctx, at, arch)
		now.digest = d
		return now, err
	case unix.S_IFREG:
	default:
		return now, fail.New(fail.Usage, "%s is neither a file nor a directory", at.Path).WithHint("croft template import NAME %s", at.Path)
	}
	if at.Form == archive.OCIForm {
		return now, fail.New(fail.Usage, "%s is a file, and %s: is for a directory", at.Path, at.Form).WithHint("%s:%s", archive.OCIArchiveForm, at.Path)
	}
	now.stat = fmt.Sprintf("%d %d.%09d %d.%09d %d", st.Size, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec, st.Ino)
	if known.Source == at.String() && known.SourceFile == now.stat {
		now.digest = digest.Digest(known.SourceDigest)
		return now, nil
	}
	f, err := os.Open(at.Path)
	if err != nil {
		return now, fail.Open(at.Path, err)
	}
	defer f.Close()
	sum := digest.SHA256.Digester()
	if _, err := io.Copy(sum.Hash(), archive.WithContext(ctx, s.CountedReader("reading "+at.Path, f))); err != nil {
		return now, layer.HostError(err)
	}
	now.digest = sum.Digest()
	return now, nil
}

// digestInDir returns the digest of the image in a directory for arch: that of its manifest.
func digestInDir(ctx context.Context, at archive.Reference, arch string) (digest.Digest, error) {
	t, err := layer.OpenTree(at.Path)
	if err != nil {
		return "", layer.HostError(err)
	}
	defer t.Close()
	kind, err := archive.KindAs(t, at.Form)
	if err != nil {
		return "", fail.New(fail.Usage, "%s: %w", at.Path, err)
	}
	switch kind {
	case archive.OCILayout:
		root, err := archive.LayoutRoot(t, at.Image, arch)
		if err == nil {
			_, root, err = images.PickManifest(ctx, archive.Layout{Tree: t}, root, arch)
		}
		return root.Digest, explainImport(at, err)
	case archive.DockerImages:
		text, _, err := t.ReadFile(archive.DockerManifest, images.MaxJSON)
		return digest.FromBytes(text), explainImport(at, err)
	}
	if at.Form == "" && facts.IsRoot(t) {
		name, err := nameIn(at)
		if err != nil {
			name = "NAME"
		}
		return "", rootDir(at.Path, name)
	}
	return "", fail.New(fail.Usage, "%s has no image: oci-layout and index.json, or manifest.json, are missing", at.Path)
}

// rootDir is the error for a directory with a root filesystem, of which only a tar becomes the
// template name.
func rootDir(dir, name string) error {
	return fail.New(fail.Usage, "%s is the directory of a root filesystem, and not of images: croft imports a tar of it", dir).
		WithHint("tar -C %s -c . | croft template import %s -", shellescape.Quote(dir), name)
}

// importFrom imports the file or directory from as the template name with these settings, for a
// caller that has its lock. A name of a template from somewhere else, or with other settings, is
// fail.Taken.
func (s *Store) importFrom(ctx context.Context, name string, from source, arch string, with images.ImportSettings) (Image, error) {
	old, err := s.Find(images.Ref{Name: name})
	switch {
	case err == nil && old.Source != from.String():
		return Image{}, fail.New(fail.Taken, "a template %q exists that is not from %s", name, from).WithHint("croft template import NAME %s", from.Path)
	case err == nil && old.ImportedWith.Text() != with.Text():
		return Image{}, fail.New(fail.Taken, "a template %q exists that was imported from %s with options", name, from).WithHint("croft template inspect %s", name)
	case err != nil && !fail.Is(err, fail.NotFound):
		return Image{}, err
	}
	o := optionsOf(with)
	o.Architecture, o.Image, o.form, o.origin = arch, from.Image, from.Form, from.origin(with)
	if from.dir {
		o.Dir = from.Path
		im, err := s.importAs(ctx, name, strings.NewReader(""), o)
		return im, explainImport(from.Reference, err)
	}
	o.File = from.Path
	f, err := os.Open(from.Path)
	if err != nil {
		return Image{}, fail.Open(from.Path, err)
	}
	defer f.Close()
	im, err := s.importAs(ctx, name, f, o)
	return im, explainImport(from.Reference, err)
}

// explainImport returns err with the file at, and with a hint of how to choose one of several
// images.
func explainImport(at archive.Reference, err error) error {
	switch {
	case err == nil:
		return nil
	case !archive.HasSeveral(err):
		return fmt.Errorf("import %s: %w", at.Path, err)
	case at.Form == "":
		return fail.New(fail.KindOf(err), "import %s: %w", at.Path, err).WithHint("croft template import NAME %s --image IMAGE", at.Path)
	}
	return fail.New(fail.KindOf(err), "import %s: %w", at.Path, err).WithHint("%s:%s:IMAGE chooses one", at.Form, at.Path)
}
