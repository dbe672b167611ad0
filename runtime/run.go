package runtime

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"

	"golang.org/x/term"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/runtime/command"
	"croft/template"
)

// Run is Create, Start and Exec, and with o.Remove Destroy, in one; it returns
// the command's exit status. Without a command a person gets a shell. Whatever
// happens once the VPS exists, with o.Remove nothing of it is left: if this
// process is killed, the VPS's monitor removes it. With o.Detach it is Create
// and Start alone.
//
// A VPS of an image without an init runs the image's entrypoint, and the
// command as its arguments, instead of the image's own ones; when that has
// ended, so has the VPS.
func (m *Manager) Run(ctx context.Context, o RunOptions) (status int, err error) {
	name := o.Name
	if name == "" {
		name = madeUpName()
	}
	if err := o.CreateOptions.check(name); err != nil {
		return 0, err
	}
	image, err := m.templates.Ensure(ctx, o.Template)
	if err != nil {
		return 0, err
	}
	if !o.Detach {
		o.Exec.Args = argumentsOf(image, o.Exec.Args)
	}
	if !o.Detach && len(o.Exec.Args) == 0 && !term.IsTerminal(int(o.Exec.Stdio.In.Fd())) {
		return 0, fail.New(fail.Usage, "no command to run, and standard input is not a terminal").
			WithHint("croft help run")
	}
	if o.CreateOptions.Ephemeral = o.Remove; o.Remove && !o.Detach {
		if o.CreateOptions.runner, err = m.thisRunner(); err != nil {
			return 0, err
		}
	}
	if _, err := m.Create(ctx, name, o.CreateOptions); err != nil {
		return 0, err
	}
	if o.Named != nil {
		o.Named(name)
	}
	if o.Detach {
		return 0, m.Start(ctx, name, StartOptions{Wait: o.Wait})
	}
	if o.Remove {
		defer func() {
			e := m.Destroy(context.WithoutCancel(ctx), name, DestroyOptions{Force: true, IfExists: true})
			if err == nil {
				err = e
			} else if e != nil {
				m.warn(e.Error())
			}
		}()
	}
	return m.runIn(ctx, name, image, o)
}

// argumentsOf are those of the command that is run in a VPS of image when args
// are asked for.
func argumentsOf(image template.Image, args []string) []string {
	switch {
	case !image.Application():
		return args
	case len(args) == 0:
		return image.Command()
	}
	return slices.Concat(image.Entrypoint, args)
}

// runIn starts the VPS name, which has just been made, and runs o's command in
// it.
func (m *Manager) runIn(ctx context.Context, name string, image template.Image, o RunOptions) (int, error) {
	if err := m.startHow(ctx, name, StartOptions{Wait: o.Wait}, spawnWait); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	switch {
	case len(o.Exec.Args) == 0:
		return m.Enter(ctx, name, o.Exec)
	case !image.Application():
		return m.Exec(ctx, name, o.Exec)
	}
	status, err := m.runApplication(ctx, name, image, o.Exec)
	if !o.Remove {
		if e := m.Stop(context.WithoutCancel(ctx), name, StopOptions{Fast: true, IfExists: true}); err == nil {
			err = e
		}
	}
	return status, err
}

// runApplication runs a command as the image of the VPS name says: by its user,
// in its directory, with its environment. The VPS waits for a command.
func (m *Manager) runApplication(ctx context.Context, name string, image template.Image, o ExecOptions) (int, error) {
	run, err := m.running(ctx, name)
	if err != nil {
		return 0, err
	}
	if o.User == "" {
		o.User = image.User
	}
	if o.Cwd == "" {
		o.Cwd, err = inside.Look(ctx, inside.Identity(run.Init), func(root *inside.Root) (string, error) { return command.ImageDir(image, root), nil })
		if err != nil {
			return 0, reachError(name, err)
		}
	}
	o.Env = slices.Concat(image.Env, o.Env)
	return m.Exec(ctx, name, o)
}

// madeUpName returns a name for a VPS without one.
func madeUpName() string { return "run-" + strings.ToLower(rand.Text()[:8]) }
