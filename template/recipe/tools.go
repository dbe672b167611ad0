package recipe

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"croft/internal/fail"
	"croft/template/recipe/hostpackages"
)

// A tool is a program of a distribution that creates a root filesystem.
type tool struct {
	name string   // of the program
	also []string // programs that a build with it runs too
}

// A workshop is what a host has for building the recipes of one distribution.
type workshop struct {
	tool     string   // the program that builds; if none is here, the preferred one
	missing  []string // programs, and the first file with the keys, that are not here
	packages []string // that bring them
	install  string   // the command that installs them; "" if this host is not known to have the packages
}

// Builder returns the tool that builds templates of r on this host. If it is missing, or the
// keys of the package archive are, it is fail.Host with the command that installs them.
func Builder(r Recipe) (string, error) {
	w := workshopOf(r)
	if len(w.missing) == 0 {
		return w.tool, nil
	}
	err := fail.New(fail.Host, "building a template of %s needs %s, and this host lacks %s", r.Distribution, needs(r), strings.Join(w.missing, " and "))
	if w.install == "" {
		return "", err.WithHint("croft template search %s", r.Distribution)
	}
	return "", err.WithHint("%s", w.install)
}

// needs says what a host needs for r: one of the tools, and the file with the keys.
func needs(r Recipe) string {
	f, _ := familyOf(r.Distribution)
	var names []string
	for _, t := range f.tools {
		names = append(names, t.name)
	}
	all := strings.Join(names, " or ")
	switch keys, by := r.keyringFiles(); {
	case len(keys) == 0:
		return all
	case by == "":
		return all + ", and the keys of its package archive"
	default:
		return all + ", and the keys of its package archive in the package " + by
	}
}

// workshopOf looks around on the host.
func workshopOf(r Recipe) workshop {
	f, ok := familyOf(r.Distribution)
	if !ok {
		return workshop{}
	}
	var w workshop
	for i, t := range f.tools {
		if missing := t.missing(); i == 0 || slices.Contains(w.missing, w.tool) && !slices.Contains(missing, t.name) {
			w.tool, w.missing = t.name, missing
		}
	}
	lacks := w.missing
	for i := 0; len(w.missing) > 0 && i < len(f.tools); i++ {
		if _, install := hostpackages.For(f.tools[i].missing(), isHere); install != "" {
			lacks = f.tools[i].missing()
			break
		}
	}
	keys, by := r.keyringFiles()
	for _, file := range keys {
		if !exists(file) && !exists(pacmanElsewhere(file)) {
			lacks = append(slices.Clone(lacks), by)
			w.missing = append(w.missing, file)
			break
		}
	}
	w.packages, w.install = hostpackages.For(lacks, isHere)
	return w
}

// keyringFiles returns the files of the host with the keys of r's archive, and the package that
// brings them; none is that the recipe has the keys.
func (r Recipe) keyringFiles() (files []string, by string) {
	switch {
	case r.Key != "":
		return nil, ""
	case len(r.Keyring) == 0 && r.Distribution == "debian":
		return []string{debianKeyring}, "debian-archive-keyring"
	}
	return r.Keyring, r.KeyringPackage
}

// missing returns the programs of t that the host does not have where a build finds them.
func (t tool) missing() (all []string) {
	for _, name := range append([]string{t.name}, t.also...) {
		if !isHere(name) {
			all = append(all, name)
		}
	}
	return all
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func isHere(program string) bool {
	for dir := range strings.SplitSeq(buildPath, ":") {
		if _, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return true
		}
	}
	return false
}
