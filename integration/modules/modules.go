// Package modules gets programs and sources that come as Go modules, and keeps what was built of
// them. It commits nothing to the repository.
package modules

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Tool gets programs and sources that come as Go modules.
type Tool struct {
	Path string // of the go command
	Dir  string // outside of every module
}

// A Module is one that has been downloaded.
type Module struct {
	Path, Version string
	Dir           string // its sources, read-only
	Error         string
}

// Download gets a module, of which the version may be a query like latest.
func (g Tool) Download(ctx context.Context, path, version string) (Module, error) {
	out, err := g.Run(ctx, nil, "mod", "download", "-json", path+"@"+version)
	var m Module
	if jsonErr := json.Unmarshal(out, &m); err == nil {
		err = jsonErr
	}
	if m.Error != "" {
		err = fmt.Errorf("%s", m.Error)
	}
	if err != nil {
		return m, fmt.Errorf("download %s@%s: %w", path, version, err)
	}
	return m, nil
}

// Install builds programs of a module into dir. The patterns are below the
// module's path; env and flags are added to what go is called with.
func (g Tool) Install(ctx context.Context, m Module, dir string, env, flags []string, patterns ...string) error {
	args := append([]string{"install"}, flags...)
	for _, p := range patterns {
		args = append(args, strings.TrimSuffix(m.Path+"/"+p, "/")+"@"+m.Version)
	}
	if _, err := g.Run(ctx, append(env, "GOBIN="+dir), args...); err != nil {
		return fmt.Errorf("build %s@%s: %w", m.Path, m.Version, err)
	}
	return nil
}

// Run runs the go command and returns what it printed.
func (g Tool) Run(ctx context.Context, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, g.Path, args...)
	cmd.Dir = g.Dir
	cmd.Env = append(append(os.Environ(), "GOFLAGS=", "GOWORK=off"), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%w\n%s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// Once makes dir by calling make with another name, and returns at once if
// dir is there: it is whole then.
func Once(dir string, make func(dir string) error) error {
	if _, err := os.Lstat(dir); err == nil {
		return nil
	}
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := make(partial); err != nil {
		return err
	}
	return os.Rename(partial, dir)
}
