package runtime

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/initkind"
	"croft/internal/inside"
	"croft/internal/proc"
	"croft/internal/state"
	"croft/runtime/holder"
	"croft/runtime/inits"
	"croft/template"
)

// underSmallInit makes s, of a VPS whose files are at root, one that runs the
// command of its image under croft's own init, or, if it is to wait, no
// command.
func (m *Manager) underSmallInit(s *bundles.Settings, v state.VPS, image template.Image, root *inside.Root, wait bool) error {
	// Docker creates it too, and images rely on that.
	if dir := path.Clean(image.WorkingDir); path.IsAbs(dir) && !root.IsDir(dir) {
		if err := root.MakeDirectory(dir, v.IDs.First); err != nil {
			m.warn(fmt.Sprintf("%s: cannot create the working directory of its image: %v", v.Name, err))
		}
	}
	c, env, err := commandOf(v, image, root)
	if err != nil {
		return err
	}
	if wait {
		c.Args = nil
	} else if len(c.Args) == 0 {
		return fail.New(fail.State, "the root filesystem of %s has no init, and its image names no command", v.Name).
			WithHint("croft template inspect %s", v.Template.Name)
	}
	if s.InitFile, err = m.initFile(m.store.BinDir()); err != nil {
		return err
	}
	s.Init, s.Env = c.CommandLine(bundles.InitPath), lastOfEach(append(env, s.Env...))
	return nil
}

// lastOfEach is env with each variable once: a command finds the first of
// several.
func lastOfEach(env []string) []string {
	var all []string
	for i, e := range env {
		key, _, _ := strings.Cut(e, "=")
		if !slices.ContainsFunc(env[i+1:], func(later string) bool { return strings.HasPrefix(later, key+"=") }) {
			all = append(all, e)
		}
	}
	return all
}

// commandOf is what the image of v, whose files are at root, runs, and what
// belongs into its environment beside the image's own.
func commandOf(v state.VPS, image template.Image, root *inside.Root) (holder.Init, []string, error) {
	who, err := userInside(root, image.User)
	if err != nil {
		return holder.Init{}, nil, fail.New(fail.State, "the image of %s: %w", v.Name, err)
	}
	c := holder.Init{Args: image.Command(), Dir: dirOf(image, root), UID: uint32(who.Uid), GID: uint32(who.Gid), Stop: int(inits.StopSignal(image.StopSignal))}
	for _, g := range who.Sgids {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c, []string{"HOME=" + who.Home}, nil
}

// dirOf is the directory that an image's command runs in.
func dirOf(image template.Image, root *inside.Root) string {
	if strings.HasPrefix(image.WorkingDir, "/") && root.IsDir(image.WorkingDir) {
		return image.WorkingDir
	}
	return "/"
}

// runApplication runs a command of an image without an init in the VPS name,
// which waits for it, as the image says: by its user, in its directory, with
// its environment.
func (m *Manager) runApplication(ctx context.Context, name string, image template.Image, o ExecOptions) (int, error) {
	run, err := m.running(ctx, name)
	if err != nil {
		return 0, err
	}
	if o.User == "" {
		o.User = image.User
	}
	if o.Cwd == "" {
		o.Cwd, err = readRunning(run.Init, func(root *inside.Root) (string, error) { return dirOf(image, root), nil })
		if err != nil {
			return 0, reachError(name, err)
		}
	}
	o.Env = slices.Concat(image.Env, o.Env)
	return m.Exec(ctx, name, o)
}

// hasSmallInit reports whether the running VPS's init is croft's own.
func (m *Manager) hasSmallInit(name string) bool {
	run, err := m.store.Run(name)
	return err == nil && initkind.Of(proc.Executable(run.Init.PID)) == initkind.Croft
}
