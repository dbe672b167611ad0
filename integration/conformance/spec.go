package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"croft/integration/modules"
)

// One of runc's tests clones the specification's repository, and builds there
// what checks a config.json. What it clones is here the specification's module,
// since it has no network.
const (
	specModule     = "github.com/opencontainers/runtime-spec"
	specRepository = "https://" + specModule + ".git"
)

// makeSpec makes a repository in dir of the specification that a module
// requires, and gets the modules that its checker is built of.
func (b builder) makeSpec(ctx context.Context, of modules.Module, dir string) error {
	text, err := os.ReadFile(filepath.Join(of.Dir, "go.mod"))
	if err != nil {
		return err
	}
	version := required(string(text), specModule)
	m, err := b.tool.Download(ctx, specModule, version)
	if err != nil {
		return err
	}
	if err := copyTree(m.Dir, dir); err != nil {
		return err
	}
	name := []string{"-c", "user.name=conformance", "-c", "user.email=conformance@localhost", "-c", "commit.gpgSign=false"}
	for _, args := range [][]string{
		{"init", "--quiet"}, {"add", "--all"}, append(name, "commit", "--quiet", "--message", version), {"tag", revision(version)},
	} {
		if out, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w: %s", args, err, bytes.TrimSpace(out))
		}
	}
	// As the test does, with a network.
	checker := modules.Tool{Path: b.tool.Path, Dir: filepath.Join(b.tool.Dir, "schema")}
	if err := copyTree(filepath.Join(dir, "schema"), checker.Dir); err != nil {
		return err
	}
	for _, args := range [][]string{{"mod", "init", "schema"}, {"mod", "tidy"}} {
		if _, err := checker.Run(ctx, nil, args...); err != nil {
			return fmt.Errorf("get what checks a config.json: %w", err)
		}
	}
	return nil
}

// required returns the version of a module that a go.mod requires, or "".
func required(goMod, path string) string {
	for line := range strings.Lines(goMod) {
		if f := strings.Fields(strings.TrimPrefix(line, "require ")); len(f) >= 2 && f[0] == path {
			return f[1]
		}
	}
	return ""
}

// revision is what the test calls a version: it takes the commit of one that
// has no tag.
func revision(version string) string {
	if parts := strings.Split(version, "-"); len(parts) >= 3 {
		return parts[2]
	}
	return version
}

// specEnv makes git and go find in a box, without a network, what makeSpec got.
func (b builder) specEnv(ctx context.Context, dir string) ([]string, error) {
	out, err := b.tool.Run(ctx, nil, "env", "GOMODCACHE")
	if err != nil {
		return nil, err
	}
	modules := strings.TrimSpace(string(out))
	return []string{
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url.file://" + dir + ".insteadOf", "GIT_CONFIG_VALUE_0=" + specRepository,
		"GOMODCACHE=" + modules, "GOPROXY=file://" + filepath.Join(modules, "cache/download"), "GOSUMDB=off",
	}, nil
}
