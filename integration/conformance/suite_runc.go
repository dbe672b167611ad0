package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"croft/integration/modules"
)

const runcModule = "github.com/opencontainers/runc"

// A builder makes suites in a cache.
type builder struct {
	tool     modules.Tool
	cache    string
	checkout string // where croft's sources are
	busybox  string // a static one
	path     string // what PATH is in boxes, but for what was built
}

// A runcSuite is a version of runc with its integration tests.
type runcSuite struct {
	version string
	dir     string // tests/integration is in it, and bin/runc
	path    string // what PATH is for them
	env     []string
}

// runc builds a version of runc, and makes its integration tests ready to run.
func (b builder) runc(ctx context.Context, version string) (runcSuite, error) {
	m, err := b.tool.Download(ctx, runcModule, version)
	if err != nil {
		return runcSuite{}, err
	}
	s := runcSuite{version: m.Version, dir: filepath.Join(b.cache, "runc-"+m.Version), path: b.path}
	criu, err := findCRIU(ctx, b.cache)
	if err != nil {
		return runcSuite{}, err
	}
	if criu != "" {
		s.path = criu + ":" + s.path
	}
	image := filepath.Join(b.cache, "debian-"+debian+".tar")
	if err := modules.Once(image, func(partial string) error { return makeDebian(ctx, partial) }); err != nil {
		return runcSuite{}, err
	}
	if err := modules.Once(s.dir, func(dir string) error { return b.makeRunc(ctx, m, dir, image) }); err != nil {
		return s, err
	}
	s.env, err = b.specEnv(ctx, filepath.Join(s.dir, "spec"))
	return s, err
}

func (b builder) makeRunc(ctx context.Context, m modules.Module, dir, image string) error {
	if err := copyTree(filepath.Join(m.Dir, "tests"), filepath.Join(dir, "tests")); err != nil {
		return err
	}
	// A test looks up there of which specification it is.
	if err := copyFile(filepath.Join(m.Dir, "go.mod"), filepath.Join(dir, "go.mod")); err != nil {
		return err
	}
	flags := []string{"-tags", "seccomp", "-ldflags", "-X main.gitCommit=" + m.Version}
	cgo := []string{"CGO_ENABLED=1"}
	if err := b.tool.Install(ctx, m, filepath.Join(dir, "bin"), cgo, flags, ""); err != nil {
		return err
	}
	if err := b.tool.Install(ctx, m, filepath.Join(dir, "tests/cmd/_bin"), cgo, flags, "tests/cmd/..."); err != nil {
		return err
	}
	// Archives are told by their content, not by their name.
	images := filepath.Join(dir, "tests/integration/testdata")
	if err := makeBusybox(b.busybox, filepath.Join(images, "busybox-"+runtime.GOARCH+".tar.xz")); err != nil {
		return err
	}
	if err := b.makeSpec(ctx, m, filepath.Join(dir, "spec")); err != nil {
		return err
	}
	return os.Symlink(image, filepath.Join(images, "debian-"+runtime.GOARCH+".tar.xz"))
}

// copyFile copies a program or another file, at once.
func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(to+".new", content, 0o755); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}

// copyTree copies files from where nothing may be written or executed.
func copyTree(from, to string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o755)
	})
}

// files lists the tests.
func (s runcSuite) files() ([]file, error) {
	return batsFiles("runc", filepath.Join(s.dir, "tests/integration"), s.path, "", func(c candidate) []string {
		return append([]string{"RUNC=" + c.path}, s.env...)
	})
}

// batsFiles lists the files of bats in a directory. Env is what tells them
// whom they test.
func batsFiles(suite, dir, path, digest string, env func(candidate) []string) ([]file, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.bats"))
	if err != nil {
		return nil, err
	}
	var all []file
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, file{
			suite: suite, name: filepath.Base(name), tests: batsTests(string(text)), digest: digest,
			limit: 3 * time.Minute,
			job: func(c candidate, tests []string) job {
				return job{
					Args: []string{"bats", "--tap", "--filter", batsFilter(tests), name},
					Env:  append(boxEnv(path), env(c)...),
					Dir:  "/tmp",
				}
			},
			read: readBats,
		})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no tests in %s", dir)
	}
	return all, nil
}

// boxEnv is the environment that jobs begin with.
func boxEnv(path string) []string {
	return []string{"PATH=" + path, "HOME=/root", "TERM=xterm", "LC_ALL=C.UTF-8", "TMPDIR=/tmp"}
}

// readBats takes each point for a test. After a hang the one that was to be
// next has hung; if bats says something else about a file, like that its
// setup failed, it says it of the next one too.
func readBats(tests []string, out output) map[string]result {
	p := newTAPParser()
	for _, line := range out.lines {
		p.line(line)
	}
	known := map[string]bool{}
	for _, t := range tests {
		known[t] = true
	}
	all := map[string]result{}
	var rest string
	for _, point := range p.points {
		if !known[point.name] {
			rest += point.name + "\n" + point.detail
			continue
		}
		all[point.name] = result{Verdict: point.verdict, Detail: point.detail}
	}
	for _, t := range tests {
		if _, ok := all[t]; ok {
			continue
		}
		v := failed
		if out.hung {
			v = hung
		}
		all[t] = result{Verdict: v, Detail: strings.TrimSpace(rest + out.stderr)}
		break
	}
	return all
}
