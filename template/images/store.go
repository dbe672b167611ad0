// Package images is the store of images: an OCI image layout on disk, with each layer
// unpacked once. It has their names, their documents and their locks. An image is prepared
// in a stage, and published when it is complete.
package images

import (
	"os"
	"path/filepath"
	"sync"
	"time"

	"croft/template/layer"
)

// A Store is an OCI image layout in one directory. layers/sha256/HEX has the unpacked
// layers of its images, with the ids of the archives. Any number of processes may use
// the same directory at the same time.
type Store struct {
	dir string
	o   Options

	RetryPause time.Duration // before the second request to a server after an error

	progressMu sync.Mutex // several blobs report their progress at the same time
}

// Options are optional settings of a Store. The zero value reports nothing.
type Options struct {
	Progress Progress     // reports progress of long operations; may be nil
	Warn     func(string) // receives warnings of one line for the user; may be nil
}

// Open returns the store in dir. It reads and creates nothing. A missing directory is
// an empty store; the first image creates it.
func Open(dir string, o Options) *Store {
	if abs, err := filepath.Abs(dir); err == nil { // overlay and a monitor that has changed directory need it
		dir = abs
	}
	return &Store{dir: dir, o: o, RetryPause: 100 * time.Millisecond}
}

// Dir returns the absolute path of the store's directory.
func (s *Store) Dir() string { return s.dir }

// Warn gives the user a warning of one line.
func (s *Store) Warn(line string) {
	if s.o.Warn != nil {
		s.o.Warn(line)
	}
}

// Path returns a path inside the store.
func (s *Store) Path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// LayerDir returns the directory of the unpacked layer with this diff id.
func (s *Store) LayerDir(d string) string { return s.Path("layers", DigestPath(d)) }

// Make creates the directories of the store. No-op if they exist. Only root can enter
// them, because layers contain set-user-id files of other systems.
func (s *Store) Make() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return layer.HostError(err)
	}
	for _, d := range []string{"blobs/sha256", "layers/sha256", "locks", "partial", "tmp"} {
		if err := os.MkdirAll(s.Path(d), 0o700); err != nil {
			return layer.HostError(err)
		}
	}
	return s.writeLayoutFile()
}
