package recipe

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"al.essio.dev/pkg/shellescape"
	"go.yaml.in/yaml/v3"
)

// maxSources is the largest total size of the files that a recipe reads, in bytes.
const maxSources = 64 << 20

// A fileEntry is a file, a directory or a link in the source of a File.
type fileEntry struct {
	name    string // relative to the File's path; "" is that path
	mode    fs.FileMode
	content []byte
	link    string
}

func (r Recipe) fileFlaws() flaws {
	var f flaws
	for i, one := range r.Files {
		at := path("files", i)
		if !isCleanPath(one.Path) {
			f.add(at, "files: path %q is not absolute, or invalid", one.Path)
		}
		if (one.Content == nil) == (one.Source == "") {
			f.add(at, "files: %s needs either content or source", one.Path)
		}
		if _, err := one.mode(0); err != nil {
			f.add(at, "files: %s: invalid mode %q (example: 0644)", one.Path, one.Mode)
		}
		if user, group, _ := strings.Cut(one.Owner, ":"); one.Owner != "" && (!isAccount(user) || group != "" && !isAccount(group)) {
			f.add(at, "files: %s: invalid owner %q (examples: web, web:www-data)", one.Path, one.Owner)
		}
	}
	return f
}

// mode returns the mode that f has, or the default.
func (f File) mode(otherwise fs.FileMode) (fs.FileMode, error) {
	if f.Mode == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(f.Mode, 8, 12)
	return fs.FileMode(n), err
}

// loadFiles reads the sources of r's files, which are beside the recipe's file from. b is
// the text of the recipe.
func (r *Recipe) loadFiles(b []byte, from string) problems {
	var root yaml.Node
	if yaml.Unmarshal(b, &root) != nil || len(root.Content) == 0 {
		return nil // parseRecipe has reported it
	}
	var found problems
	left := int64(maxSources)
	for i := range r.Files {
		f := &r.Files[i]
		if f.Source == "" {
			continue
		}
		var err error
		if from == embeddedFrom || !filepath.IsLocal(f.Source) {
			err = fmt.Errorf("source %q must be beside the recipe's file", f.Source)
		} else {
			f.entries, err = readSource(filepath.Join(filepath.Dir(from), f.Source), &left)
		}
		if err != nil {
			found = append(found, problem{line: lineOf(root.Content[0], path("files", i)), text: fmt.Sprintf("files: %s: %v", f.Path, err)})
		}
	}
	return found
}

// readSource reads a file, or all files of a directory. left is how many bytes they may have.
func readSource(top string, left *int64) ([]fileEntry, error) {
	var all []fileEntry
	err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		in, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, name)
		if err != nil {
			return err
		}
		e := fileEntry{name: strings.TrimPrefix(rel, "."), mode: 0o644}
		if in.IsDir() || in.Mode()&0o111 != 0 { // so the umask of who wrote the recipe makes no difference
			e.mode = 0o755
		}
		switch in.Mode().Type() {
		case fs.ModeDir:
			e.mode |= fs.ModeDir
		case fs.ModeSymlink:
			e.mode |= fs.ModeSymlink
			if e.link, err = os.Readlink(name); err != nil {
				return err
			}
		case 0:
			if *left -= in.Size(); *left < 0 {
				return fmt.Errorf("the files of a recipe have more than %d MiB", maxSources>>20)
			}
			if e.content, err = os.ReadFile(name); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s is neither a file, a directory nor a link", name)
		}
		all = append(all, e)
		return nil
	})
	return all, err
}

// tree returns what f writes. The mode is for files alone.
func (f File) tree() []fileEntry {
	if f.Content != nil {
		mode, _ := f.mode(0o644) // checked with the recipe
		return []fileEntry{{mode: mode, content: []byte(*f.Content)}}
	}
	all := slices.Clone(f.entries)
	for i, e := range all {
		if e.mode.IsRegular() {
			all[i].mode, _ = f.mode(e.mode)
		}
	}
	return all
}

// filesTar returns a tar archive with files, all of root, and of the time at. No file has
// another name than before if the recipe is the same.
func filesTar(files []File, at time.Time) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b) // a bytes.Buffer takes all
	for _, f := range files {
		for _, e := range f.tree() {
			h := &tar.Header{
				Typeflag: tar.TypeReg, Name: "." + filepath.Join(f.Path, e.name), Mode: int64(e.mode.Perm()) | int64(e.mode&0o7000),
				Size: int64(len(e.content)), Linkname: e.link, ModTime: at, Format: tar.FormatPAX,
			}
			switch e.mode.Type() {
			case fs.ModeDir:
				h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
			case fs.ModeSymlink:
				h.Typeflag = tar.TypeSymlink
			}
			_ = w.WriteHeader(h)
			_, _ = w.Write(e.content)
		}
	}
	_ = w.Close()
	return b.String()
}

// ownersScript returns a script that gives files to their owners. chown(2) takes bits of the
// mode away, so the script sets it again.
func ownersScript(files []File) string {
	var b strings.Builder
	for _, f := range files {
		if f.Owner == "" {
			continue
		}
		owner := f.Owner
		if !strings.Contains(owner, ":") {
			owner += ":" // with the user's own group
		}
		for _, e := range f.tree() {
			name := shellescape.Quote(filepath.Join(f.Path, e.name))
			fmt.Fprintf(&b, "chown -h %s %s\n", shellescape.Quote(owner), name)
			if e.mode&fs.FileMode(0o7000) != 0 {
				fmt.Fprintf(&b, "chmod %o %s\n", e.mode&0o7777, name)
			}
		}
	}
	return b.String()
}
