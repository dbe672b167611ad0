package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/term"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/command"
	"croft/runtime/console"
	"croft/runtime/container"
	"croft/runtime/observe"
	"croft/runtime/paths"
	"croft/runtime/streams"
)

// A CommandError is a command that cannot be executed inside.
type CommandError = command.Error

// Exec runs a command in the running VPS name and returns its exit status, or 128+n
// if signal n ended it. A command that cannot be executed is a *CommandError. Exec
// takes no lock, so the VPS may end at any time, and the command with it.
func (m *Manager) Exec(ctx context.Context, name vps.Name, o ExecOptions) (int, error) {
	run, err := m.running(ctx, name)
	if err != nil {
		return 0, err
	}
	if len(o.Args) == 0 {
		return 0, fail.New(fail.Usage, "no command to run in %s", name)
	}
	return m.exec(ctx, name, run, o)
}

// exec is Exec in a VPS that runs. A login without Args is a shell.
func (m *Manager) exec(ctx context.Context, name vps.Name, run state.Run, o ExecOptions) (int, error) {
	process, err := m.process(name, run, o)
	if err != nil {
		return 0, err
	}
	if o.Terminal {
		return m.execTerminal(name, process, o.Stdio)
	}
	if !o.bounded {
		ctx = context.WithoutCancel(ctx) // it gets the signals that croft gets
	}
	return m.execPipes(ctx, name, process, o.Stdio)
}

// Enter runs the login shell of o.User (default: root) in the running VPS name, on
// the caller's terminal if there is one, and returns its exit status. o must not have
// Args.
func (m *Manager) Enter(ctx context.Context, name vps.Name, o ExecOptions) (int, error) {
	run, err := m.running(ctx, name)
	if err != nil {
		return 0, err
	}
	o.Terminal = o.Stdio.In != nil && term.IsTerminal(int(o.Stdio.In.Fd()))
	if !o.Login {
		shell, err := inside.Look(ctx, inside.Identity(run.Init), func(root *inside.Root) (string, error) { return command.LoginShell(root, o.User) })
		if err != nil && (o.User != "" || errors.Is(err, inside.ErrGone)) {
			return 0, reachError(name, err)
		}
		if shell == "" {
			shell = "/bin/sh" // the files inside cannot be read
		}
		o.Args = []string{shell, "-l"}
	}
	return m.exec(ctx, name, run, o)
}

// running returns the run of the VPS name; fail.State if the VPS does not run.
func (m *Manager) running(ctx context.Context, name vps.Name) (state.Run, error) {
	if _, err := m.store.Get(name); err != nil {
		return state.Run{}, err
	}
	m.recoverIfFree(ctx, name)
	seen, err := m.observe(name)
	if err != nil {
		return state.Run{}, err
	}
	status, err := m.observer().Status(seen)
	if err != nil {
		return state.Run{}, err
	}
	switch status {
	case StatusRunning, StatusOrphaned:
		return seen.Run, nil
	case StatusPaused:
		return state.Run{}, fail.New(fail.State, "%s is paused", name).WithHint("croft resume %s", name)
	}
	return state.Run{}, observe.NotRunning(name, status)
}

// process is the OCI process of a command in the VPS that runs as run.
func (m *Manager) process(name vps.Name, run state.Run, o ExecOptions) (*specs.Process, error) {
	spec, err := bundles.Read(m.store.BundleDir(name))
	if err != nil {
		return nil, err
	}
	p, err := command.Process(inside.Identity(run.Init), spec.Process, command.Options{
		Args: o.Args, Env: o.Env, User: o.User, Cwd: o.Cwd, Terminal: o.Terminal, Login: o.Login,
	})
	if err != nil {
		return nil, reachError(name, err)
	}
	return p, nil
}

// reachError classifies the error of an access to the files of a running VPS.
func reachError(name vps.Name, err error) error {
	if errors.Is(err, inside.ErrGone) {
		return fail.New(fail.State, "%s has just ended", name)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// execPipes runs p with three separate streams, and kills it when ctx ends.
func (m *Manager) execPipes(ctx context.Context, name vps.Name, p *specs.Process, stdio Stdio) (int, error) {
	pipes, err := streams.NewPipes(stdio.In, stdio.Out, stdio.Err)
	if err != nil {
		return 0, err
	}
	defer pipes.Close()
	signals := streams.CatchSignals()
	defer signals.Stop()
	r, err := m.containers.Exec(string(name), p, pipes.Inside())
	if err != nil {
		return 0, m.execError(name, p, err)
	}
	pipes.Start()
	done := make(chan struct{})
	defer close(done)
	go signals.Forward(r, nil, done)
	defer context.AfterFunc(ctx, func() {
		_ = r.Signal(syscall.SIGKILL)
		pipes.Cut() // what the command has left behind inside may write for ever
	})()
	status, err := r.Wait()
	if err != nil {
		return 0, err
	}
	return status, pipes.Finish()
}

// execTerminal runs p on its own terminal, which is joined to the caller's: stdio.In
// must be a terminal.
func (m *Manager) execTerminal(name vps.Name, p *specs.Process, stdio Stdio) (int, error) {
	if stdio.In == nil || !term.IsTerminal(int(stdio.In.Fd())) {
		return 0, fail.New(fail.Usage, "standard input is not a terminal")
	}
	if w, h, err := term.GetSize(int(stdio.In.Fd())); err == nil {
		p.ConsoleSize = &specs.Box{Width: uint(w), Height: uint(h)}
	}
	signals := streams.CatchSignals()
	defer signals.Stop()
	r, err := m.containers.Exec(string(name), p, [3]*os.File{})
	if err != nil {
		return 0, m.execError(name, p, err)
	}
	defer r.Console.Close()
	terminal, err := streams.NewTerminal(r.Console, streams.Outside{Screen: stdio.In, In: stdio.In, Out: stdio.Out})
	if err != nil {
		return 0, err
	}
	defer terminal.Close()
	terminal.Start(r)
	done := make(chan struct{})
	defer close(done)
	go signals.Forward(r, terminal.Resize, done)
	status, err := r.Wait()
	if err != nil {
		return 0, err
	}
	return status, terminal.Finish()
}

// atProcessLimit reports whether the VPS has about as many processes as its limit
// allows. The error of a command that cannot start because of that does not tell it.
func (m *Manager) atProcessLimit(name vps.Name) bool {
	u, err := m.containers.Usage(string(name))
	return err == nil && u.PIDsLimit > 0 && u.PIDs+nearLimit >= u.PIDsLimit
}

// nearLimit is the number of processes and threads that libcontainer starts for a
// command.
const nearLimit = 8

// execError classifies the error of the command p, which could not be run.
func (m *Manager) execError(name vps.Name, p *specs.Process, err error) error {
	if errors.Is(err, container.ErrAbsent) || errors.Is(err, container.ErrNotRunning) {
		return observe.NotRunning(name, StatusStopped)
	}
	init := m.initProcess(name)
	not, e := inside.Look(context.Background(), inside.Identity(init), func(root *inside.Root) (*CommandError, error) {
		return command.NotExecuted(p, root.Executable, err), nil
	})
	switch {
	case not != nil:
		return not
	case errors.Is(e, inside.ErrGone), !observe.Alive(init): // err is a consequence of that
		return fail.New(fail.State, "%s has ended", name).WithHint("croft start %s", name)
	case noMoreProcesses(err), m.atProcessLimit(name):
		return fail.New(fail.State, "%s is at its limit of processes", name).WithHint("croft inspect %s", name)
	}
	return err
}

// noMoreProcesses reports whether the kernel refused another process. The error comes
// from another process as text, which Go or the C library wrote.
func noMoreProcesses(err error) bool {
	return strings.Contains(strings.ToLower(err.Error()), syscall.EAGAIN.Error())
}

// output runs a command in a VPS and returns its standard output, at most 1 MiB of it.
// When ctx ends, it kills the command and returns.
func (m *Manager) output(ctx context.Context, name vps.Name, args ...string) (string, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return "", fmt.Errorf("make pipe: %w", err)
	}
	defer read.Close()
	text := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(io.LimitReader(read, 1<<20))
		read.Close() // who writes more gets an error, and does not wait
		text <- string(all)
	}()
	status, err := m.Exec(ctx, name, ExecOptions{Args: args, Stdio: Stdio{Out: write}, bounded: true})
	write.Close()
	out := <-text
	if err == nil && status != 0 {
		err = fmt.Errorf("%s: status %d", args[0], status)
	}
	return out, err
}

// runInside runs a command in a VPS and drops its output.
func (m *Manager) runInside(ctx context.Context, name vps.Name, args ...string) error {
	_, err := m.output(ctx, name, args...)
	return err
}

// staysAlive reports whether the process p, which has closed a connection, is not about
// to end. The kernel closes the files of a process that is killed before the process
// counts as ended (do_exit, kernel/exit.c).
func (m *Manager) staysAlive(ctx context.Context, p state.Process) bool {
	for range 40 {
		if !observe.Alive(p) {
			return false
		}
		if ctx.Err() != nil {
			break
		}
		m.sleep(50 * time.Millisecond)
	}
	return true
}

// consolePatience is how long Console waits for a new monitor of the VPS.
const consolePatience = 10 * time.Second

// Console joins the caller's terminal to the console of the running VPS name until
// the user detaches or the VPS ends. If only its monitor ends, the VPS gets a new one
// and the console continues there. It is fail.Busy if too many clients are attached.
func (m *Manager) Console(ctx context.Context, name vps.Name, io Stdio) error {
	if io.Err != nil && term.IsTerminal(int(io.In.Fd())) {
		fmt.Fprintf(io.Err, "croft: attached to %s; %s detaches\n", name, console.DetachKeys)
	}
	var limit time.Time
	for {
		was, err := m.running(ctx, name)
		if err != nil && !fail.Is(err, fail.State) {
			return err
		}
		held, err := m.store.LifeHeld(name)
		if err != nil {
			return err
		}
		if !held && !observe.Alive(was.Init) {
			return observe.NotRunning(name, StatusStopped)
		}
		// The error if its monitor was killed and it has no new one yet.
		err = fail.New(fail.State, "attach to the console: %w", console.ErrNotServed)
		if held {
			err = console.Attach(ctx, paths.ConsoleSocket(m.store, name), io.In, io.Out)
		}
		if errors.Is(err, console.ErrNotServed) && observe.Alive(was.Init) {
			// Another command may be giving the VPS its new monitor.
			if limit.IsZero() {
				limit = time.Now().Add(consolePatience)
			}
			if time.Now().Before(limit) {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(50 * time.Millisecond):
					continue
				}
			}
		}
		if !errors.Is(err, console.ErrClosed) {
			return err
		}
		limit = time.Time{}
		now, err := m.observe(name)
		switch {
		case err != nil || !now.Alive || now.Run.Init != was.Init:
			return nil // it has ended
		case ctx.Err() != nil:
			return ctx.Err()
		case now.Run.Monitor == was.Monitor && m.staysAlive(ctx, now.Run.Monitor):
			return fail.New(fail.Busy, "the monitor of %s has closed the console: too many are attached", name)
		}
		m.warn(fmt.Sprintf("%s: its monitor was killed; the console goes on with a new one", name))
	}
}
