// Package template has the templates that VPSs are created from. It builds, imports,
// exports, pulls and pushes them; template/images keeps them, as images.
package template

import (
	"context"

	"croft/template/images"
	"croft/template/recipe"
	"croft/template/signatures"
	"croft/template/transfer"
)

// An Image is a template in the store.
type Image = images.Image

// BuildSettings are those options of Build that an image keeps, for Refresh.
type BuildSettings = images.BuildSettings

// A Progress receives reports of a long operation.
type Progress = images.Progress

// An Update is a report of a long operation.
type Update = images.Update

// A Store is a store of images, and the ways into it and out of it. Any number of
// processes may use the same directory at the same time.
type Store struct {
	*images.Store
	o Options
}

// Options are optional settings of a Store. The zero value reports nothing, and
// builds with recipes from /etc/croft/recipes and those in the binary.
type Options struct {
	Progress Progress          // reports progress of long operations; may be nil
	Warn     func(string)      // receives warnings of one line for the user; may be nil
	Recipes  string            // directory of recipes that replace those in the binary; "" is recipe.Dir
	CertsDir string            // another directory of registries' certificates, in addition to /etc/containers/certs.d and docker's; may be empty
	Policy   signatures.Policy // which images may enter the store
	// Bound limits what the process pid and those that it starts take of the host: it is the
	// first of a build. remove takes that back when all have ended. Nil is no limits.
	Bound    func(ctx context.Context, pid int) (remove func(), err error)
	BuildIDs uint32 // the first of the 65536 ids of the host for builds; 0 is DefaultBuildIDs
}

// DefaultBuildIDs is the first of the host's ids for builds. It is the last range of
// 65536 ids below 2^31 - 65536. systemd's table of ids (https://systemd.io/UIDS-GIDS)
// does not assign it. No VPS may have these ids.
const DefaultBuildIDs = 0x7FFE0000

// Open returns the store in dir. It reads and creates nothing. A missing directory is
// an empty store; the first image creates it.
func Open(dir string, o Options) *Store {
	if o.Recipes == "" {
		o.Recipes = recipe.Dir
	}
	if o.BuildIDs == 0 {
		o.BuildIDs = DefaultBuildIDs
	}
	return &Store{Store: images.Open(dir, images.Options{Progress: o.Progress, Warn: o.Warn}), o: o}
}

// policy says which images may enter the store.
func (s *Store) policy() signatures.Policy { return s.o.Policy }

// trust says which servers to trust. insecure also allows plain HTTP and certificates that
// cannot be verified.
func (s *Store) trust(insecure bool) transfer.Trust {
	return transfer.Trust{Insecure: insecure, CertsDir: s.o.CertsDir}
}
