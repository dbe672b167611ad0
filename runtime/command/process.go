// Package command makes the process of a command inside a VPS: its user,
// environment and directory, and why it could not be executed.
package command

import (
	"context"
	"errors"
	"os"
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/internal/fail"
	"croft/internal/inside"
)

// Options describe a command.
type Options struct {
	Args     []string
	Env      []string // NAME=value, added to the clean environment
	User     string   // NAME|UID[:GROUP|GID]; "" is root
	Cwd      string   // "" is the user's home directory, or / if that is missing
	Terminal bool
	Login    bool // run it in a login session of the user
}

// Process returns the OCI process of a command in the VPS with this init. The
// environment is clean. Capabilities, limits and umask are those of bundle, the
// process of the VPS's bundle, but users other than root get no capabilities.
// The error is inside.ErrGone if the VPS has ended.
func Process(init inside.Identity, bundle *specs.Process, o Options) (*specs.Process, error) {
	ctx := context.Background()
	if o.Login {
		var err error
		if o, err = inside.Look(ctx, init, o.asLogin); err != nil {
			return nil, err
		}
	}
	who, err := inside.Look(ctx, init, func(root *inside.Root) (*Account, error) { return FindAccount(root, o.User) })
	if who == nil && o.User == "" && !errors.Is(err, inside.ErrGone) {
		who, err = rootAccount(), nil // root can enter a VPS with a damaged passwd(5)
	}
	if err != nil {
		return nil, err
	}
	p := &specs.Process{
		Terminal: o.Terminal, Args: o.Args, Env: environment(who, o),
		User:         specs.User{UID: uint32(who.Uid), GID: uint32(who.Gid), Umask: bundle.User.Umask},
		Capabilities: bundle.Capabilities,
		Rlimits:      bundle.Rlimits,
	}
	for _, g := range who.Sgids {
		p.User.AdditionalGids = append(p.User.AdditionalGids, uint32(g))
	}
	if who.Uid != 0 {
		p.Capabilities = &specs.LinuxCapabilities{Bounding: bundle.Capabilities.Bounding}
	}
	p.Cwd, err = directory(ctx, init, who, o.Cwd)
	return p, err
}

// directory is the working directory of a command: want if the user asks for
// one, or else the home directory of who.
func directory(ctx context.Context, init inside.Identity, who *Account, want string) (string, error) {
	dir := want
	if dir == "" {
		dir = who.Home
	}
	if !path.IsAbs(dir) {
		return "", fail.New(fail.Usage, "working directory %q is not absolute", dir)
	}
	there, err := inside.Look(ctx, init, func(root *inside.Root) (bool, error) { return root.IsDir(dir), nil })
	switch {
	case errors.Is(err, inside.ErrGone):
		return "", err
	case there:
		return dir, nil
	case want != "":
		return "", fail.New(fail.Usage, "no directory %s inside", want)
	}
	return "/", nil
}

// environment is the environment of a command.
func environment(who *Account, o Options) []string {
	dirs := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	env := []string{"PATH=" + dirs, "HOME=" + who.Home, "USER=" + who.Name, "LOGNAME=" + who.Name, "LANG=C.UTF-8"}
	if o.Terminal {
		kind := os.Getenv("TERM")
		if kind == "" {
			kind = "linux"
		}
		env = append(env, "TERM="+kind)
	}
	return LastOfEach(append(env, o.Env...))
}

// LastOfEach returns env with the last one of each variable. A command would
// take the first one of several.
func LastOfEach(env []string) []string {
	var all []string
	for i, e := range env {
		key, _, _ := strings.Cut(e, "=")
		if !slices.ContainsFunc(env[i+1:], func(later string) bool { return strings.HasPrefix(later, key+"=") }) {
			all = append(all, e)
		}
	}
	return all
}
