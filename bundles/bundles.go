// Package bundles turns the settings of a VPS into an OCI runtime bundle that
// any OCI runtime can run.
package bundles

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/internal/atomicfile"
	"croft/internal/fail"
)

// ConfigFile is the name of the configuration in a bundle (OCI runtime spec
// v1.3, bundle.md).
const ConfigFile = "config.json"

// RootfsDir is the directory of a bundle that the VPS's root filesystem is
// mounted on.
const RootfsDir = "rootfs"

// Write makes dir a bundle whose configuration is spec: a reader sees the old
// configuration or the new one. The rootfs directory is made if it is absent,
// and is not touched otherwise.
func Write(dir string, spec *specs.Spec) error {
	if err := os.MkdirAll(filepath.Join(dir, RootfsDir), 0o755); err != nil {
		return fmt.Errorf("make bundle: %w", err)
	}
	data, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		return fmt.Errorf("encode bundle configuration: %w", err)
	}
	if err := atomicfile.Replace(filepath.Join(dir, ConfigFile), 0o600, append(data, '\n')); err != nil {
		return fmt.Errorf("write bundle configuration: %w", err)
	}
	return nil
}

// Read returns the configuration of the bundle at dir. A directory without a
// bundle is fail.NotFound. A file that is not JSON, or has no process, is
// fail.State.
func Read(dir string) (*specs.Spec, error) {
	file := filepath.Join(dir, ConfigFile)
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail.New(fail.NotFound, "no bundle at %s: it has no %s", dir, ConfigFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	return Parse(data)
}

// Parse reads a bundle's configuration from its text.
func Parse(data []byte) (*specs.Spec, error) {
	var spec specs.Spec
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, fail.New(fail.State, "bundle configuration is not valid JSON: %w", err)
	}
	if spec.Root == nil || spec.Root.Path == "" {
		return nil, fail.New(fail.State, "bundle configuration names no root filesystem")
	}
	if spec.Process == nil || len(spec.Process.Args) == 0 {
		return nil, fail.New(fail.State, "bundle configuration names no process")
	}
	return &spec, nil
}
