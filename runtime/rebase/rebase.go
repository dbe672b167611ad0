// Package rebase decides whether a VPS can have other layers below its own files: those of
// a newer template. It is pure.
package rebase

import (
	"path"
	"slices"
	"strings"
	"time"
)

// A Plan is what an exchange of the template would mean for a VPS.
type Plan struct {
	From    string   `json:"from"`    // the digest of its template
	To      string   `json:"to"`      // the digest of the new one
	Changed int      `json:"changed"` // paths in which the two templates differ
	Kept    []string `json:"kept"`    // paths that both the VPS and the template have changed; those of the VPS stay
	// Packages are the files of the distribution's package database that the VPS has
	// changed. They hide those of the new template, and so name packages that are not
	// there any more.
	Packages []string `json:"packages"`
}

// Of compares the paths that a VPS has changed since its template with those in which the
// new template differs from that. Both are sorted by path, as tree.Diff lists them.
func Of(own, template []string) Plan {
	p := Plan{Changed: len(template), Kept: []string{}, Packages: []string{}}
	changed := make(map[string]bool, len(template))
	for _, name := range template {
		changed[name] = true
	}
	for _, name := range own {
		switch {
		case InPackageDatabase(name):
			p.Packages = append(p.Packages, name)
		case changed[name]:
			p.Kept = append(p.Kept, name)
		}
	}
	return p
}

// Same reports whether the VPS has the template already.
func (p Plan) Same() bool { return p.From == p.To }

// databases are where package managers write down what is installed: patterns of
// path.Match for files, or directories with all that is in them.
var databases = []struct{ dir, files string }{
	{"/var/lib/dpkg", "status"},
	{"/var/lib/dpkg/status.d", "*"},
	{"/var/lib/dpkg/info", "*"},
	{"/var/lib/rpm", "rpmdb.sqlite"},
	{"/var/lib/rpm", "Packages*"},
	{"/usr/lib/sysimage/rpm", "rpmdb.sqlite"},
	{"/usr/lib/sysimage/rpm", "Packages*"},
	{"/lib/apk/db", "installed"},
	{"/usr/lib/apk/db", "installed"},
	{"/var/lib/pacman/local", "*"},
	{"/var/db/xbps", "pkgdb-*"},
	{"/var/db/pkg", "*"},
}

// InPackageDatabase reports whether the path belongs to the package database of a
// distribution: dpkg, rpm, apk, pacman, xbps or portage.
func InPackageDatabase(name string) bool {
	return slices.ContainsFunc(databases, func(d struct{ dir, files string }) bool {
		rest, below := strings.CutPrefix(name, d.dir+"/")
		if !below {
			return false
		}
		if d.files == "*" {
			return true
		}
		matches, err := path.Match(d.files, rest)
		return err == nil && matches
	})
}

// SnapshotName returns the name of the snapshot that is there while a VPS tries its new
// template.
func SnapshotName(now time.Time) string {
	return "before-rebase-" + now.UTC().Format("20060102-150405")
}
