// Package template keeps the images that VPSs are created from: an OCI image layout
// on disk, with each layer unpacked once. It builds, imports, exports, pulls, pushes
// and removes images.
package template

import (
	"os"
	"path/filepath"
	"sync"
	"time"

	"croft/template/layer"
	"croft/template/recipe"
)

// A Store is an OCI image layout in one directory. layers/sha256/HEX has the unpacked
// layers of its images, with the ids of the archives. Any number of processes may use
// the same directory at the same time.
type Store struct {
	dir string
	o   Options

	progressMu sync.Mutex    // several blobs report their progress at the same time
	retryPause time.Duration // before the second request after an error
}

// Options are optional settings of a Store. The zero value reports nothing, and
// builds with recipes from /etc/croft/recipes and those in the binary.
type Options struct {
	Progress Progress     // reports progress of long operations; may be nil
	Warn     func(string) // receives warnings of one line for the user; may be nil
	Recipes  string       // directory of recipes that replace those in the binary; "" is recipe.Dir
	CertsDir string       // another directory of registries' certificates, in addition to /etc/containers/certs.d and docker's; may be empty
	BuildIDs uint32       // the first of the 65536 ids of the host for builds; 0 is DefaultBuildIDs
}

// DefaultBuildIDs is the first of the host's ids for builds. It is the last range of
// 65536 ids below 2^31 - 65536. systemd's table of ids (https://systemd.io/UIDS-GIDS)
// does not assign it. No VPS may have these ids.
const DefaultBuildIDs = 0x7FFE0000

// A Progress receives reports of a long operation. Only one goroutine calls it at a
// time.
type Progress func(Update)

// An Update is a report of a long operation.
type Update struct {
	Step  string // a few words, for example "cleaning up"
	Part  string // one of several parallel transfers; "" is the step as a whole
	Done  int64  // bytes, or percent if Total is 100
	Total int64  // 0 is unknown
}

// Open returns the store in dir. It reads and creates nothing. A missing directory is
// an empty store; the first image creates it.
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

// Dir returns the absolute path of the store's directory.
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

// path returns a path inside the store.
func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// layerDir returns the directory of the unpacked layer with this diff id.
func (s *Store) layerDir(d string) string { return s.path("layers", digestPath(d)) }

// make creates the directories of the store. No-op if they exist. Only root can enter
// them, because layers contain set-user-id files of other systems.
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

// An Image is a template in the store.
type Image struct {
	Name         string    `json:"name"`
	Digest       string    `json:"digest"`       // of its manifest
	Former       bool      `json:"former"`       // a newer image has the name now
	Layers       []string  `json:"layers"`       // diff ids, lowest first
	Distribution string    `json:"distribution"` // as os-release's ID
	Release      string    `json:"release"`
	Variant      string    `json:"variant"`
	Architecture string    `json:"architecture"` // the name that Go and OCI use
	Init         string    `json:"init"`         // systemd, sysvinit, openrc, busybox, …; "" if croft finds no init
	Env          []string  `json:"env"`          // NAME=value
	Created      time.Time `json:"created"`      // the date of its content: the newest package index of its build
	// KeepsIdentity means that the template is a backup of one VPS: machine-id, ssh host
	// keys and random seeds are those of that VPS.
	KeepsIdentity bool     `json:"keepsIdentity"`
	Size          int64    `json:"size"`         // total size of the files in all its layers, in bytes
	Recipe        string   `json:"recipe"`       // from which it was built; "" if it was not
	ContainerEnv  string   `json:"containerEnv"` // the value of $container for init; "" is croft
	Entrypoint    []string `json:"entrypoint"`
	Cmd           []string `json:"cmd"`
	User          string   `json:"user"`         // of Entrypoint and Cmd: name|uid[:group|gid]; "" is root
	WorkingDir    string   `json:"workingDir"`   // of Entrypoint and Cmd; "" is /
	StopSignal    string   `json:"stopSignal"`   // that stops them; "" is SIGTERM
	Source        string   `json:"source"`       // the reference from which it was pulled; "" if it was not
	SourceDigest  string   `json:"sourceDigest"` // of its manifest in that registry
}
