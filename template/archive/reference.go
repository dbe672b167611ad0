package archive

import (
	"path/filepath"
	"strings"

	"croft/internal/fail"
	"croft/template/layer"
)

// A Reference names an image or a root filesystem in a file or directory of this host: PATH,
// or FORM:PATH[:IMAGE] as skopeo writes it.
type Reference struct {
	Form  string // OCIForm, OCIArchiveForm, DockerForm; "" is whatever is there
	Path  string
	Image string // one of several: a name or a digest; "" is the only one
}

// The forms of a Reference.
const (
	OCIForm        = "oci"            // a directory
	OCIArchiveForm = "oci-archive"    // a tar of such a directory
	DockerForm     = "docker-archive" // what docker save writes
)

// ParseReference parses a reference; ok is false if the text is none. A reference without a
// path is fail.Usage.
func ParseReference(text string) (r Reference, ok bool, err error) {
	for _, begin := range []string{"/", "./", "../"} {
		if strings.HasPrefix(text, begin) {
			return Reference{Path: text}, true, nil
		}
	}
	form, rest, ok := strings.Cut(text, ":")
	if !ok || form != OCIForm && form != OCIArchiveForm && form != DockerForm {
		return Reference{}, false, nil
	}
	r.Form = form
	r.Path, r.Image, _ = strings.Cut(rest, ":")
	if r.Path == "" || strings.ContainsRune(text, 0) {
		err = fail.New(fail.Usage, "invalid reference %q: write %s:PATH or %s:PATH:IMAGE", text, form, form)
	}
	return r, true, err
}

// Absolute returns r with an absolute path without "..".
func (r Reference) Absolute() (Reference, error) {
	path, err := filepath.Abs(r.Path)
	if err != nil {
		return r, fail.New(fail.Host, "the current directory: %w", err)
	}
	r.Path = path
	return r, nil
}

func (r Reference) String() string {
	switch {
	case r.Form == "":
		return r.Path
	case r.Image == "":
		return r.Form + ":" + r.Path
	}
	return r.Form + ":" + r.Path + ":" + r.Image
}

// TemplateName returns the default name of a template from r: the name of the image, as for
// one of a registry, or else that of the file without endings. It may be invalid.
func (r Reference) TemplateName() string {
	name := r.Image
	if name == "" || strings.HasPrefix(name, "sha256:") {
		name = withoutEndings(filepath.Base(r.Path))
	} else {
		name = strings.TrimSuffix(name[strings.LastIndexByte(name, '/')+1:], ":latest")
	}
	name = strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' {
			return c
		}
		return '-'
	}, strings.ToLower(name))
	return strings.Trim(name, "-._")
}

// withoutEndings returns the name of a file without the endings for its format and for a
// compression.
func withoutEndings(name string) string {
	for _, endings := range [][]string{
		{".gz", ".bz2", ".xz", ".zst", ".tgz", ".tbz2", ".txz", ".tzst"},
		{".tar", ".img", ".raw", ".qcow2", ".squashfs", ".sqfs", ".ext4"},
	} {
		for _, ending := range endings {
			if short, ok := strings.CutSuffix(name, ending); ok && short != "" {
				name = short
				break
			}
		}
	}
	return name
}

// KindAs returns the kind of files in t for a reference of this form: DockerForm takes the
// images of docker save also if there is an OCI layout. Files of another form are fail.Usage.
func KindAs(t *layer.Tree, form string) (Content, error) {
	kind := KindOf(t)
	switch {
	case form == DockerForm && t.Exists(DockerManifest):
		return DockerImages, nil
	case form == DockerForm:
		return kind, fail.New(fail.Usage, "it is not an archive of docker save: its %s is missing", DockerManifest)
	case form != "" && kind != OCILayout:
		return kind, fail.New(fail.Usage, "it is not an OCI image layout: its oci-layout and index.json are missing")
	}
	return kind, nil
}
