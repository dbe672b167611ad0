package runtime

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

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

// Run creates a VPS, or with o.Clone a clone, starts it, runs a command in it and returns the exit status of
// the command. Without a command it runs a shell on the caller's terminal. With o.Detach
// it only creates and starts.
//
// With o.Remove the VPS is destroyed in the end, whatever happens. If it runs, its monitor
// destroys it as soon as this process has ended. Run does not wait for that, unless there are
// hooks, whose output belongs to this command. The next command destroys it if the monitor is
// killed.
//
// In a VPS of an image without an init it runs the entrypoint of the image, with the
// command in place of the image's arguments. The VPS ends when that has ended.
func (m *Manager) Run(ctx context.Context, o RunOptions) (status int, err error) {
	name := o.Name
	if name == "" {
		name = randomName()
	}
	image, err := m.imageToRun(ctx, name, o)
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
	if len(o.FirstBoot) > 0 && !o.Detach && o.Wait == WaitNone {
		o.Wait = WaitBooted // and for the script, which prepares the VPS for the command
	}
	if err := m.createToRun(ctx, name, o); err != nil {
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
			if m.leave(name) {
				return
			}
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

// imageToRun checks the options of a run, and returns the image that the VPS gets.
func (m *Manager) imageToRun(ctx context.Context, name vps.Name, o RunOptions) (template.Image, error) {
	if o.Clone == nil {
		if err := o.CreateOptions.check(name); err != nil {
			return template.Image{}, err
		}
		return m.templates.Ensure(ctx, o.Template)
	}
	v, err := m.store.Get(o.Clone.From)
	if err == nil && o.Clone.Snapshot != "" {
		var n state.Snapshot
		if n, err = m.store.Snapshot(v.Name, o.Clone.Snapshot); err == nil {
			v = ofSnapshot(v, n)
		}
	}
	if err != nil {
		return template.Image{}, err
	}
	return m.templates.Resolve(v.Template.Digest)
}

// createToRun creates the VPS of a run.
func (m *Manager) createToRun(ctx context.Context, name vps.Name, o RunOptions) error {
	if o.Clone == nil {
		_, err := m.Create(ctx, name, o.CreateOptions)
		return err
	}
	c := *o.Clone
	c.ephemeral, c.runner = o.CreateOptions.Ephemeral, o.CreateOptions.runner
	_, err := m.Clone(ctx, name, c)
	return err
}

// argumentsOf returns the command to run in a VPS of image if the user gives args.
func argumentsOf(image template.Image, args []string) []string {
	switch {
	case !image.Application():
		return args
	case len(args) == 0:
		return image.Command()
	}
	return slices.Concat(image.Entrypoint, args)
}

// runIn starts the new VPS name and runs the command of o in it.
func (m *Manager) runIn(ctx context.Context, name vps.Name, image template.Image, o RunOptions) (int, error) {
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
func (m *Manager) runApplication(ctx context.Context, name vps.Name, image template.Image, o ExecOptions) (int, error) {
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

// randomName returns a name for a VPS that the user did not name.
func randomName() vps.Name { return vps.Name("run-" + strings.ToLower(rand.Text()[:8])) }

// The runner of an ephemeral VPS is the croft run that created it. The holder watches
// the runner, and the VPS ends with it. If both are killed the next command destroys
// the VPS.

// thisRunner returns this process as a runner.
func (m *Manager) thisRunner() (vps.Runner, error) {
	me, err := observe.ProcessOf(os.Getpid())
	return vps.Runner{HostBoot: m.store.HostBoot(), PID: me.PID, StartTime: me.StartTime}, err
}

// abandoned reports whether v is ephemeral and its runner has ended or has left it, or the
// creator of v has ended before v was complete. An older croft did not record the runner; its
// VPSs are not abandoned.
func (m *Manager) abandoned(v vps.VPS) bool {
	return m.hasEnded(v.Creator) || v.Ephemeral && (m.hasEnded(v.Runner) || m.isLeft(v.Name))
}

// hasEnded reports whether r has ended; false for no process.
func (m *Manager) hasEnded(r vps.Runner) bool {
	if r.PID == 0 {
		return false
	}
	return r.HostBoot != m.store.HostBoot() || !observe.Alive(state.Process{PID: r.PID, StartTime: r.StartTime})
}

// mayBeAbandoned reports whether v is removed when a process ends.
func mayBeAbandoned(v vps.VPS) bool { return v.Ephemeral || v.Creator.PID != 0 }

// openRunner opens the runner of v as a pidfd, which the caller closes. It returns
// holder.None for a VPS without a runner. It is fail.State if the runner has ended.
func (m *Manager) openRunner(v vps.VPS) (int, error) {
	if !v.Ephemeral || v.Runner.PID == 0 {
		return holder.None, nil
	}
	fd, err := unix.PidfdOpen(v.Runner.PID, 0)
	if err != nil || m.abandoned(v) { // checked when the pidfd is open, so it is of this runner
		if err == nil {
			unix.Close(fd)
		}
		return holder.None, fail.New(fail.State, "the croft run that %s belongs to has ended", v.Name)
	}
	return fd, nil
}

// destroyAbandoned destroys the ephemeral VPSs whose runner was killed, and those whose
// creator was killed before they were complete. It leaves one to its monitor if its runner has
// done that, and a busy one to the next command. An error is a warning.
func (m *Manager) destroyAbandoned(ctx context.Context) {
	names, err := m.store.Ephemerals()
	if err != nil {
		m.warn(err.Error())
		return
	}
	for _, name := range names {
		if monitor, left := m.left(name); left && observe.Alive(monitor) {
			continue
		}
		if err := m.destroyIfAbandoned(ctx, name, 0); err != nil && !fail.Is(err, fail.Busy) {
			m.warn(fmt.Sprintf("remove %s, whose croft command has ended: %v", name, err))
		}
	}
}

// destroyIfAbandoned waits for the lock of name for the time wait.
func (m *Manager) destroyIfAbandoned(ctx context.Context, name vps.Name, wait time.Duration) error {
	v, err := m.store.Get(name)
	if err == nil && mayBeAbandoned(v) && !m.abandoned(v) {
		return nil
	}
	if err != nil && !fail.Is(err, fail.NotFound) {
		return nil // a broken VPS is left to the user
	}
	l, err := m.store.Lock(ctx, name, m.command, wait)
	if err != nil {
		return err
	}
	defer l.Unlock()
	v, err = l.VPS()
	switch {
	case fail.Is(err, fail.NotFound), err == nil && !mayBeAbandoned(v):
		m.forgetLeft(name)
		return l.UnlistEphemeral()
	case err != nil || !m.abandoned(v):
		return nil
	}
	if err := m.destroyHeld(ctx, l, DestroyOptions{Force: true, IfExists: true}); err != nil {
		return err
	}
	m.forgetLeft(name)
	return nil
}
