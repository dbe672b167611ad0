package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"croft/integration/cgroups"
	"croft/integration/modules"
)

// The runc that croft is compared with.
const (
	runcModule  = "github.com/opencontainers/runc"
	runcVersion = "v1.5.2"
)

// runPrefix begins the names of what only one run has; its process id follows.
const runPrefix = "croft-bench-"

// idBase is the first id of a root filesystem for a container with a user namespace.
const idBase = 1000000

// prepare makes what a run needs and what needs the host's network, or is there
// from an earlier run. What cannot be made is missing in the plan: a side that needs it says so.
func (o options) prepare(ctx context.Context, rows []row) (plan, error) {
	self, err := os.Executable()
	if err != nil {
		return plan{}, err
	}
	name := fmt.Sprintf("%s%d", runPrefix, os.Getpid())
	p := plan{
		Croft: o.croft, Self: self, Root: filepath.Join(o.cache, "root"), Files: filepath.Join(o.cache, "files"),
		Dir: filepath.Join(o.cache, name), Cgroup: name,
		Rows: o.rows, Rounds: o.rounds, VPSs: o.vpss, Missing: map[string]string{},
	}
	if err := o.sweep(); err != nil {
		return p, err
	}
	p.Runc = filepath.Join(o.cache, "runc-"+runcVersion, "runc")
	if err := o.buildRunc(ctx, filepath.Dir(p.Runc)); err != nil {
		p.Missing["runc"] = err.Error()
	}
	for _, t := range templates(rows) {
		if err := p.template(ctx, t); err != nil {
			p.Missing[t] = err.Error()
		}
	}
	return p, ctx.Err()
}

// sweep removes what a run that was killed has left: cgroups, and files in the cache.
func (o options) sweep() error {
	if err := sweepCgroups(); err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(o.cache, runPrefix+"*"))
	if err != nil {
		return err
	}
	for _, name := range []string{"vps", "networks", "trash", "volumes"} {
		left = append(left, filepath.Join(o.cache, "root", name))
	}
	for _, path := range left {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return os.MkdirAll(filepath.Join(o.cache, "files"), 0o755)
}

// sweepCgroups removes the cgroups of runs that have ended. Their processes ended with them.
func sweepCgroups() error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	hierarchies := cgroups.Parse(string(text))
	for _, pattern := range []string{"*/" + runPrefix + "*", runPrefix + "*"} {
		left, err := filepath.Glob(filepath.Join(cgroups.Root, pattern))
		if err != nil {
			return err
		}
		for _, dir := range left {
			name := filepath.Base(dir)
			if _, err := os.Stat("/proc/" + strings.TrimPrefix(name, runPrefix)); err == nil {
				continue // another run, with another cache
			}
			if err := (cgroups.Tree{Hierarchies: hierarchies, Name: name}).Remove(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o options) buildRunc(ctx context.Context, dir string) error {
	outside, err := os.MkdirTemp("", "croft-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(outside)
	tool := modules.Tool{Path: o.goPath, Dir: outside}
	return modules.Once(dir, func(dir string) error {
		say("building runc %s, kept in %s", runcVersion, o.cache)
		m, err := tool.Download(ctx, runcModule, runcVersion)
		if err != nil {
			return err
		}
		return tool.Install(ctx, m, dir, []string{"CGO_ENABLED=1"}, []string{"-tags", "seccomp", "-ldflags", "-s -w"}, "")
	})
}

// template builds a template if it is not there, and unpacks its files for others.
func (p plan) template(ctx context.Context, name string) error {
	if _, err := p.croft(ctx, "template", "inspect", name); err != nil || name == busybox {
		say("building the template %s, kept in %s", name, p.Root)
		args := []string{"template", "build", name}
		if text := recipes[name]; text != "" {
			recipe := filepath.Join(filepath.Dir(p.Root), name+".yaml")
			if err := os.WriteFile(recipe, []byte(text), 0o644); err != nil {
				return err
			}
			args = append(args, "--recipe", recipe)
		}
		if out, err := p.croft(ctx, args...); err != nil {
			return fmt.Errorf("croft %s: %w: %s", strings.Join(args, " "), err, tail(out))
		}
		for _, old := range []string{name, name + shifted} {
			if err := os.RemoveAll(filepath.Join(p.Files, old)); err != nil {
				return err
			}
		}
	}
	err := modules.Once(filepath.Join(p.Files, name), func(dir string) error { return p.unpack(ctx, name, dir) })
	if err != nil || name != busybox {
		return err
	}
	return modules.Once(filepath.Join(p.Files, name+shifted), func(dir string) error {
		if err := p.unpack(ctx, name, dir); err != nil {
			return err
		}
		return shift(dir)
	})
}

// shifted ends the names of files whose owners are in a user namespace.
const shifted = "-shifted"

func (p plan) unpack(ctx context.Context, template, dir string) error {
	archive := dir + ".tar"
	defer os.Remove(archive)
	if out, err := p.croft(ctx, "template", "export", "--force", "--format", "rootfs", template, archive); err != nil {
		return fmt.Errorf("croft template export: %w: %s", err, tail(out))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "tar", "--extract", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-p", "-f", archive, "-C", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("tar: %w: %s", err, tail(string(out)))
	}
	return nil
}

// shift gives all files to the ids of a user namespace.
func shift(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return errors.New("no owner")
		}
		if err := os.Lchown(path, idBase+int(stat.Uid), idBase+int(stat.Gid)); err != nil || info.Mode()&fs.ModeSymlink != 0 {
			return err
		}
		return os.Chmod(path, info.Mode()) // chown(2) has cleared set-user-ID
	})
}

// croft runs croft with the templates of the cache, outside of the box.
func (p plan) croft(ctx context.Context, args ...string) (string, error) {
	run := filepath.Join(p.Root, "..", "run")
	defer os.RemoveAll(run)
	cmd := exec.CommandContext(ctx, p.Croft, append([]string{"--root", p.Root, "--run-dir", run}, args...)...)
	cmd.Env = append(os.Environ(), "CROFT_CONFIG_DIR="+filepath.Join(p.Root, "..", "etc"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it removes what it has begun
	out, err := cmd.CombinedOutput()
	return string(out), err
}
