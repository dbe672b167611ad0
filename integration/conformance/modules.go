package main

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

// A goTool gets programs and sources that come as Go modules.
type goTool struct {
	path string // of the go command
	dir  string // outside of every module
}

// A module is one that has been downloaded.
type module struct {
	Path, Version string
	Dir           string // its sources, read-only
	Error         string
}

// download gets a module, of which the version may be a query like latest.
func (g goTool) download(ctx context.Context, path, version string) (module, error) {
	out, err := g.run(ctx, nil, "mod", "download", "-json", path+"@"+version)
	var m module
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

// install builds programs of a module into dir. The patterns are below the
// module's path; env and flags are added to what go is called with.
func (g goTool) install(ctx context.Context, m module, dir string, env, flags []string, patterns ...string) error {
	args := append([]string{"install"}, flags...)
	for _, p := range patterns {
		args = append(args, strings.TrimSuffix(m.Path+"/"+p, "/")+"@"+m.Version)
	}
	if _, err := g.run(ctx, append(env, "GOBIN="+dir), args...); err != nil {
		return fmt.Errorf("build %s@%s: %w", m.Path, m.Version, err)
	}
	return nil
}

func (g goTool) run(ctx context.Context, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, g.path, args...)
	cmd.Dir = g.dir
	cmd.Env = append(append(os.Environ(), "GOFLAGS=", "GOWORK=off"), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%w\n%s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// once makes dir by calling make with another name, and returns at once if
// dir is there: it is whole then.
func once(dir string, make func(dir string) error) error {
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
