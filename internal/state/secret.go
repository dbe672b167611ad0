package state

import (
	"os"
	"path/filepath"

	"croft/internal/atomicfile"
)

// PutSecret writes the file name, for root alone, in the directory dir, which it makes
// if it is missing. The file is whole or missing, also after a power cut.
func PutSecret(dir, name string, value []byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return hostError("create directory", dir, err)
	}
	if err := atomicfile.Replace(filepath.Join(dir, name), 0o600, value); err != nil {
		return hostError("write", filepath.Join(dir, name), err)
	}
	return nil
}
