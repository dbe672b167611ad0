package vps

import (
	"fmt"

	"croft/internal/fail"
)

// Storage is the kind of root filesystem of a VPS.
type Storage string

// The kinds of root filesystems.
const (
	StorageOverlay Storage = ""      // the files that the VPS changes, over the layers of its template
	StoragePlain   Storage = "plain" // a tree of its own with all files
)

// Storages returns the kinds as a person types them, the default first.
func Storages() []string { return []string{"overlay", "plain"} }

// ParseStorage reads a kind as a person types it.
func ParseStorage(s string) (Storage, error) {
	switch s {
	case "overlay":
		return StorageOverlay, nil
	case "plain":
		return StoragePlain, nil
	}
	return "", fail.New(fail.Usage, "storage: %q is neither overlay nor plain", s)
}

// String is the kind as a person types it.
func (s Storage) String() string {
	if s == StorageOverlay {
		return "overlay"
	}
	return string(s)
}

// The names that the directory with the files of a VPS with plain storage can have. There
// are two, so that the files can be replaced: the new ones are complete before the
// settings name their directory.
const (
	FirstTree  = "tree"
	SecondTree = "tree2"
)

// OtherTree returns the name of the directory for the next files of v.
func (v VPS) OtherTree() string {
	if v.Tree == FirstTree {
		return SecondTree
	}
	return FirstTree
}

func (v VPS) checkStorage() error {
	switch {
	case v.Storage == StorageOverlay && v.Tree == "":
		return nil
	case v.Storage == StoragePlain && (v.Tree == FirstTree || v.Tree == SecondTree):
		return nil
	}
	return fail.New(fail.Usage, "invalid storage %q with the directory %q", string(v.Storage), v.Tree)
}

// SetStorage is accepted only if it changes nothing: the files of a VPS are stored in the
// one way or the other.
type SetStorage struct{ Storage Storage }

// Apply is fail.State if the VPS has another kind of storage.
func (e SetStorage) Apply(v *VPS) error {
	if v.Storage == e.Storage {
		return nil
	}
	return fail.New(fail.State, "%s has %s storage, and its files must be converted", v.Name, v.Storage).
		WithHint("croft help convert")
}

// Part is "".
func (SetStorage) Part() Part { return "" }

func (e SetStorage) String() string { return fmt.Sprintf("storage %s", e.Storage) }
