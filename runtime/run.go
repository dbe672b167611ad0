package runtime

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/command"
	"croft/runtime/holder"
	"croft/runtime/observe"
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
		name = randomName()
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
func randomName() string { return "run-" + strings.ToLower(rand.Text()[:8]) }

// The runner of an ephemeral VPS is the croft run that made it. The VPS ends
// with it: the holder watches the runner, and what is left when both are killed
// the next command removes.

// thisRunner is this process as the runner of a VPS.
func (m *Manager) thisRunner() (vps.Runner, error) {
	me, err := observe.ProcessOf(os.Getpid())
	return vps.Runner{HostBoot: m.store.HostBoot(), PID: me.PID, StartTime: me.StartTime}, err
}

// abandoned reports whether v is ephemeral and its runner has ended. One that
// names no runner was made by an older croft, and is not.
func (m *Manager) abandoned(v vps.VPS) bool {
	r := v.Runner
	if !v.Ephemeral || r.PID == 0 {
		return false
	}
	return r.HostBoot != m.store.HostBoot() || !observe.Alive(state.Process{PID: r.PID, StartTime: r.StartTime})
}

// runnerOf opens the runner of v as a pidfd, which the caller closes. It is
// holder.None for a VPS without one, fail.State if the runner has ended.
func (m *Manager) openRunner(v vps.VPS) (int, error) {
	if !v.Ephemeral || v.Runner.PID == 0 {
		return holder.None, nil
	}
	fd, err := unix.PidfdOpen(v.Runner.PID, 0)
	if err != nil || m.abandoned(v) { // asked once the pid cannot be another's
		if err == nil {
			unix.Close(fd)
		}
		return holder.None, fail.New(fail.State, "the croft run that %s belongs to has ended", v.Name)
	}
	return fd, nil
}

// collectAbandoned removes the ephemeral VPSs whose runner was killed. One that
// is busy is left to the next command. What cannot be removed is a warning.
func (m *Manager) destroyAbandoned(ctx context.Context) {
	names, err := m.store.Ephemerals()
	if err != nil {
		m.warn(err.Error())
		return
	}
	for _, name := range names {
		if err := m.destroyIfAbandoned(ctx, name); err != nil && !fail.Is(err, fail.Busy) {
			m.warn(fmt.Sprintf("remove %s, whose croft run has ended: %v", name, err))
		}
	}
}

func (m *Manager) destroyIfAbandoned(ctx context.Context, name string) error {
	v, err := m.store.Get(name)
	if err == nil && v.Ephemeral && !m.abandoned(v) {
		return nil
	}
	if err != nil && !fail.Is(err, fail.NotFound) {
		return nil // broken, so its user has to look at it
	}
	l, err := m.store.Lock(ctx, name, m.command, 0)
	if err != nil {
		return err
	}
	defer l.Unlock()
	v, err = l.VPS()
	switch {
	case fail.Is(err, fail.NotFound), err == nil && !v.Ephemeral:
		return l.UnlistEphemeral()
	case err != nil || !m.abandoned(v):
		return nil
	}
	return m.destroyHeld(ctx, l, DestroyOptions{Force: true, IfExists: true})
}
