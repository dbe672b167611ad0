// Package recipe reads recipes of templates, and plans the script that builds the root
// filesystem of one with the tool of its distribution.
package recipe

import "time"

// A Recipe describes how to build a template: docs/templates.md.
type Recipe struct {
	Name         string            `yaml:"-" json:"name"`     // of its file, without .yaml
	Extends      string            `yaml:"extends" json:"-"`  // the recipe that it adds to
	From         string            `yaml:"from" json:"from"`  // the template that it adds a layer to; "" is none
	Abstract     bool              `yaml:"abstract" json:"-"` // it can only be extended
	Description  string            `yaml:"description" json:"description"`
	Distribution string            `yaml:"distribution" json:"distribution"`
	Release      string            `yaml:"release" json:"release"`
	Suite        string            `yaml:"suite" json:"suite"` // the release's name in the package archive
	Released     string            `yaml:"released" json:"released"`
	Variant      string            `yaml:"variant" json:"variant"`
	Architecture string            `yaml:"architecture" json:"architecture"` // Debian's name of it; "" is the host's
	Init         string            `yaml:"init" json:"init"`
	ContainerEnv string            `yaml:"container" json:"container"` // the value of $container for init; "" is croft
	Environment  map[string]string `yaml:"environment" json:"environment"`
	Components   []string          `yaml:"components" json:"components"`
	Mirror       string            `yaml:"mirror" json:"mirror"`     // the URL of the package archive; "" is the tool's default
	Snapshot     string            `yaml:"snapshot" json:"snapshot"` // the date of the package archive; "" is today
	Packages     []string          `yaml:"packages" json:"packages"` // -name removes an inherited one
	Repositories []Repository      `yaml:"repositories" json:"repositories"`
	Scripts      Scripts           `yaml:"scripts" json:"scripts"`
	Clean        []string          `yaml:"clean" json:"clean"` // paths inside, with * and ?, removed at the end
	Proxy        string            `yaml:"proxy" json:"proxy"` // for all downloads; "" is that of the environment
	Users        []User            `yaml:"users" json:"users"`
	Files        []File            `yaml:"files" json:"files"`
	Services     map[string]bool   `yaml:"services" json:"services"` // whether they start at boot

	// Key or Keyring has the only keys that may sign the package archive.
	Key            string   `yaml:"key" json:"key"`                        // an armored OpenPGP public key
	Keyring        []string `yaml:"keyring" json:"keyring"`                // files of the host; none is those of Debian
	KeyringPackage string   `yaml:"keyring-package" json:"keyringPackage"` // that brings Keyring to the host

	// Variables have their defaults; nil is a variable that the user must set. Their values
	// replace {{NAME}} in other values, and are shell variables of the scripts.
	Variables map[string]*string `yaml:"variables" json:"variables"`

	// CheckValidUntil false accepts expired package indexes, for example those of a
	// snapshot. Nil is true.
	CheckValidUntil *bool `yaml:"check-valid-until" json:"checkValidUntil,omitempty"`

	places     map[string]place `yaml:"-"` // of packages: packageName
	frozen     *frozen          `yaml:"-"` // the package archive of Snapshot: Frozen
	sourceDate *time.Time       `yaml:"-"` // in the place of Released: SourceDate
}

// A Repository is a package archive in addition to the distribution's own. Suites and
// Components are those of Debian's tools; pacman's Suites are names of sections.
type Repository struct {
	URI        string   `yaml:"uri" json:"uri"`
	Suites     []string `yaml:"suites" json:"suites"`
	Components []string `yaml:"components" json:"components"`
	Key        string   `yaml:"key" json:"key"` // an armored OpenPGP public key
}

// A User is created if no package has created it.
type User struct {
	Name   string   `yaml:"name" json:"name"`
	UID    *uint32  `yaml:"uid" json:"uid,omitempty"` // nil is the next one
	Groups []string `yaml:"groups" json:"groups"`     // also; created if they are missing
	Shell  string   `yaml:"shell" json:"shell"`       // "" is the distribution's default
	Home   string   `yaml:"home" json:"home"`         // "" is the distribution's default
	System bool     `yaml:"system" json:"system"`     // an id below 1000, and no home directory
}

// A File is written into the new system when its packages are installed.
type File struct {
	Path    string  `yaml:"path" json:"path"`       // absolute
	Content *string `yaml:"content" json:"content"` // nil: Source
	Source  string  `yaml:"source" json:"source"`   // a file or a directory beside the recipe
	Mode    string  `yaml:"mode" json:"mode"`       // octal; "" is 0755 for a program, else 0644
	Owner   string  `yaml:"owner" json:"owner"`     // USER, with its own group, or USER:GROUP; "" is root

	entries []fileEntry // what Source has
}

// Scripts are run by /bin/sh -eu inside the new system, as its root.
type Scripts struct {
	PreInstall  string `yaml:"pre-install" json:"preInstall"`   // when only dpkg, apt and their dependencies are installed
	PostInstall string `yaml:"post-install" json:"postInstall"` // when all packages are installed
}
