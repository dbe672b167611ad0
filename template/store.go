// Package template keeps the systems that VPSs are populated from: recipes and
// the tools that carry them out, an OCI image layout with each layer unpacked
// once, and the root filesystem of a VPS, an overlay over those layers.
package template

import (
	"os"
	"path/filepath"
	"sync"
	"time"

	"croft/template/layer"
	"croft/template/recipe"
)

// A Store is the OCI image layout in one directory, and the layers of its
// images unpacked once, with their ids as they are, in layers/sha256/HEX of
// that directory. Any number of processes may use one directory at once.
type Store struct {
	dir string
	o   Options

	progressMu sync.Mutex    // parts are fetched at once
	retryPause time.Duration // before a registry is asked again
}

// Options are what a Store may be told. The zero value is silent and builds
// with recipes from /etc/croft/recipes and those in the binary.
type Options struct {
	Progress Progress     // of what takes long; nil is fine
	Warn     func(string) // one line for the person at the terminal; nil is fine
	Recipes  string       // the directory of recipes that come before those in the binary; "" is RecipesDir
	CertsDir string       // of certificates of registries, beside /etc/containers/certs.d and docker's; "" is none
	BuildIDs uint32       // first of the 65536 host ids that builds run under; 0 is DefaultBuildIDs
}

// DefaultBuildIDs is the first of the host's ids that builds run under. It is
// the last range of 65536 below 2^31 - 65536, which systemd's table of ids
// (https://systemd.io/UIDS-GIDS) leaves to nobody; no VPS may be given it.
const DefaultBuildIDs = 0x7FFE0000

// Progress is told how an act that takes long is getting on. It is called from
// one goroutine at a time.
type Progress func(Update)

// An Update is one step of something that takes long.
type Update struct {
	Step  string // what is being done, a few words
	Part  string // which of several things that are done at once; "" is the step as a whole
	Done  int64  // bytes, or hundredths where Total is 100
	Total int64  // 0 is unknown
}

// Open returns the store in dir. It makes and reads nothing: a directory that
// is not there is an empty store, and is made by the first image stored.
func Open(dir string, o Options) *Store {
	if abs, err := filepath.Abs(dir); err == nil { // overlay and a monitor that has changed directory need it
		dir = abs
	}
	if o.Recipes == "" {
		o.Recipes = recipe.Dir
	}
	if o.BuildIDs == 0 {
		o.BuildIDs = DefaultBuildIDs
	}
	return &Store{dir: dir, o: o, retryPause: 100 * time.Millisecond}
}

// Dir returns the directory that the store is in.
func (s *Store) Dir() string { return s.dir }

func (s *Store) progress(u Update) {
	if s.o.Progress != nil {
		s.o.Progress(u)
	}
}

func (s *Store) warn(line string) {
	if s.o.Warn != nil {
		s.o.Warn(line)
	}
}

// path returns a place inside the store.
func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// layerDir is where the layer with this diff id is unpacked.
func (s *Store) layerDir(d string) string { return s.path("layers", digestPath(d)) }

// make makes the directories of the store. Present is success. Nobody but root
// may look inside: layers hold set-user-id files of other systems.
func (s *Store) make() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return layer.HostError(err)
	}
	for _, d := range []string{"blobs/sha256", "layers/sha256", "locks", "partial", "tmp"} {
		if err := os.MkdirAll(s.path(d), 0o700); err != nil {
			return layer.HostError(err)
		}
	}
	return s.writeLayoutFile()
}

// An Image is one template as the store has it.
type Image struct {
	Name         string    `json:"name"`
	Digest       string    `json:"digest"`       // of its manifest
	Former       bool      `json:"former"`       // the name has since been given to a newer image
	Layers       []string  `json:"layers"`       // diff ids, lowest first
	Distribution string    `json:"distribution"` // as os-release's ID
	Release      string    `json:"release"`
	Variant      string    `json:"variant"`
	Architecture string    `json:"architecture"` // as Go and OCI call it
	Init         string    `json:"init"`         // systemd, sysvinit, openrc, busybox, …; "" if it has none that we know
	Env          []string  `json:"env"`          // NAME=value
	Created      time.Time `json:"created"`      // of what is in it: the newest package index it was built from
	Size         int64     `json:"size"`         // bytes of the files of all its layers, unpacked
	Recipe       string    `json:"recipe"`       // it was built from; "" if imported
	ContainerEnv string    `json:"containerEnv"` // what init has to find in $container; "" is croft
	Entrypoint   []string  `json:"entrypoint"`
	Cmd          []string  `json:"cmd"`
	User         string    `json:"user"`         // that Entrypoint and Cmd run as: name|uid[:group|gid], "" is root
	WorkingDir   string    `json:"workingDir"`   // that they run in; "" is /
	StopSignal   string    `json:"stopSignal"`   // that ends them; "" is SIGTERM
	Source       string    `json:"source"`       // the reference in a registry that it was pulled from; "" if it was not
	SourceDigest string    `json:"sourceDigest"` // of its manifest there
}
