package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/moby/sys/user"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/term"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/inside"
	"croft/internal/state"
	"croft/runtime/container"
	"croft/runtime/streams"
)

// A CommandError is a command that could not be run inside; Status is 126 or
// 127, as a shell would say it.
type CommandError struct {
	Status int
	Err    error
}

func (e *CommandError) Error() string { return e.Err.Error() }
func (e *CommandError) Unwrap() error { return e.Err }

// Exec runs a command in the running VPS name and returns its exit status, 128+n
// if signal n ended it. It takes no lock: the VPS may end under it, and then
// so does the command. A command that cannot be run is a *CommandError.
func (m *Manager) Exec(ctx context.Context, name string, o ExecOptions) (int, error) {
	run, err := m.running(ctx, name)
	if err != nil {
		return 0, err
	}
	if len(o.Args) == 0 {
		return 0, fail.New(fail.Usage, "no command to run in %s", name)
	}
	return m.exec(ctx, name, run, o)
}

// exec is Exec in a VPS that runs. Without Args a login is a shell.
func (m *Manager) exec(ctx context.Context, name string, run state.Run, o ExecOptions) (int, error) {
	if o.Login {
		var err error
		if o, err = readRunning(run.Init, o.asLogin); err != nil {
			return 0, reachError(name, err)
		}
	}
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

// Enter gives a person a shell in the running VPS name, on their terminal, and
// returns its exit status: the login shell of o.User, root by default. o has no
// Args.
func (m *Manager) Enter(ctx context.Context, name string, o ExecOptions) (int, error) {
	run, err := m.running(ctx, name)
	if err != nil {
		return 0, err
	}
	o.Terminal = o.Stdio.In != nil && term.IsTerminal(int(o.Stdio.In.Fd()))
	if !o.Login {
		shell, err := readRunning(run.Init, func(root *inside.Root) (string, error) { return loginShell(root, o.User) })
		if err != nil && (o.User != "" || errors.Is(err, inside.ErrGone)) {
			return 0, reachError(name, err)
		}
		if shell == "" {
			shell = "/bin/sh" // its files cannot be read
		}
		o.Args = []string{shell, "-l"}
	}
	return m.exec(ctx, name, run, o)
}

// running returns what the VPS does, fail.State unless it runs.
func (m *Manager) running(ctx context.Context, name string) (state.Run, error) {
	if _, err := state.ParseName(name); err != nil {
		return state.Run{}, err
	}
	if _, err := m.store.Get(name); err != nil {
		return state.Run{}, err
	}
	m.recoverIfFree(ctx, name)
	run, err := m.store.Run(name)
	if err != nil {
		return state.Run{}, err
	}
	status, err := m.status(name, run)
	if err != nil {
		return state.Run{}, err
	}
	switch status {
	case StatusRunning, StatusOrphaned:
		return run, nil
	case StatusPaused:
		return state.Run{}, fail.New(fail.State, "%s is paused", name).WithHint("croft resume %s", name)
	}
	return state.Run{}, notRunning(name, status)
}

// process is the OCI process of a command: root's own environment and no
// other, and the capabilities of the VPS's bundle.
func (m *Manager) process(name string, run state.Run, o ExecOptions) (*specs.Process, error) {
	spec, err := bundles.Read(m.store.BundleDir(name))
	if err != nil {
		return nil, err
	}
	who, err := readRunning(run.Init, func(root *inside.Root) (*account, error) { return userInside(root, o.User) })
	if who == nil && o.User == "" && !errors.Is(err, inside.ErrGone) {
		who, err = rootAccount(), nil // whatever has become of its passwd(5)
	}
	if err != nil {
		return nil, reachError(name, err)
	}
	p := &specs.Process{
		Terminal: o.Terminal, Args: o.Args, Cwd: o.Cwd,
		User:         specs.User{UID: uint32(who.Uid), GID: uint32(who.Gid), Umask: spec.Process.User.Umask},
		Capabilities: spec.Process.Capabilities,
		Rlimits:      spec.Process.Rlimits,
	}
	for _, g := range who.Sgids {
		p.User.AdditionalGids = append(p.User.AdditionalGids, uint32(g))
	}
	if who.Uid != 0 {
		// As after a login: what root may do, others may not.
		p.Capabilities = &specs.LinuxCapabilities{Bounding: spec.Process.Capabilities.Bounding}
	}
	if p.Cwd == "" {
		p.Cwd = who.Home
	}
	if !path.IsAbs(p.Cwd) {
		return nil, fail.New(fail.Usage, "working directory %q is not absolute", o.Cwd)
	}
	there, err := readRunning(run.Init, func(root *inside.Root) (bool, error) { return root.IsDir(p.Cwd), nil })
	if errors.Is(err, inside.ErrGone) {
		return nil, reachError(name, err)
	}
	if !there {
		if o.Cwd != "" {
			return nil, fail.New(fail.Usage, "no directory %s in %s", o.Cwd, name)
		}
		p.Cwd = "/"
	}
	p.Env = execEnv(who, o)
	return p, nil
}

// execEnv is the clean environment of a command, with what the caller adds.
func execEnv(who *account, o ExecOptions) []string {
	dirs := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	env := []string{"PATH=" + dirs, "HOME=" + who.Home, "USER=" + who.Name, "LOGNAME=" + who.Name, "LANG=C.UTF-8"}
	if o.Terminal {
		kind := os.Getenv("TERM")
		if kind == "" {
			kind = "linux"
		}
		env = append(env, "TERM="+kind)
	}
	for _, e := range o.Env {
		key, _, _ := strings.Cut(e, "=")
		kept := env[:0]
		for _, old := range env {
			if !strings.HasPrefix(old, key+"=") {
				kept = append(kept, old)
			}
		}
		env = append(kept, e)
	}
	return env
}

// An account is a user of the VPS's own.
type account struct {
	*user.ExecUser
	Name string
}

func (a *account) String() string { return fmt.Sprintf("%s %d:%d %s", a.Name, a.Uid, a.Gid, a.Home) }

// rootAccount is root of a VPS whose own files say nothing about it.
func rootAccount() *account {
	return &account{ExecUser: &user.ExecUser{Home: "/root"}, Name: "root"}
}

// userInside finds NAME|UID[:GROUP|GID] in the VPS's own files.
func userInside(root *inside.Root, who string) (*account, error) {
	passwd, err := root.Read("/etc/passwd", mostRead)
	if err != nil {
		return nil, err
	}
	group, err := root.Read("/etc/group", mostRead)
	if err != nil {
		return nil, err
	}
	found, err := user.GetExecUser(who, &user.ExecUser{}, bytes.NewReader(passwd), bytes.NewReader(group))
	if err != nil {
		return nil, fail.New(fail.Usage, "no user %q inside: %w", who, err)
	}
	a := &account{ExecUser: found, Name: "root"}
	if found.Uid != 0 {
		a.Name = fmt.Sprint(found.Uid)
	}
	switch {
	case found.Home == "" && found.Uid == 0: // not even a passwd(5)
		found.Home = "/root"
	case found.Home == "":
		found.Home = "/"
	}
	users, err := user.ParsePasswdFilter(bytes.NewReader(passwd), func(u user.User) bool { return u.Uid == found.Uid })
	if err == nil && len(users) > 0 {
		a.Name = users[0].Name
	}
	return a, nil
}

// reachError sorts out why the files of a running VPS cannot be reached.
func reachError(name string, err error) error {
	if errors.Is(err, inside.ErrGone) {
		return fail.New(fail.State, "%s has just ended", name)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// loginShell is the shell that a user has inside, /bin/sh if that is not there.
func loginShell(root *inside.Root, who string) (string, error) {
	account, err := userInside(root, who)
	if err != nil {
		return "", err
	}
	passwd, err := root.Read("/etc/passwd", mostRead)
	if err != nil {
		return "", err
	}
	users, err := user.ParsePasswdFilter(bytes.NewReader(passwd), func(u user.User) bool { return u.Uid == account.Uid })
	if err == nil && len(users) > 0 && users[0].Shell != "" {
		if _, ok := root.Program(users[0].Shell); ok {
			return users[0].Shell, nil
		}
	}
	return "/bin/sh", nil
}

// execPipes runs p with three separate streams, and kills it when ctx ends.
func (m *Manager) execPipes(ctx context.Context, name string, p *specs.Process, stdio Stdio) (int, error) {
	pipes, err := streams.NewPipes(stdio.In, stdio.Out, stdio.Err)
	if err != nil {
		return 0, err
	}
	defer pipes.Close()
	signals := streams.CatchSignals()
	defer signals.Stop()
	r, err := m.containers.Exec(name, p, pipes.Inside())
	if err != nil {
		return 0, m.execError(name, p, err)
	}
	pipes.Start()
	done := make(chan struct{})
	defer close(done)
	go signals.Forward(r, nil, done)
	defer context.AfterFunc(ctx, func() { _ = r.Signal(syscall.SIGKILL) })()
	status, err := r.Wait()
	if err != nil {
		return 0, err
	}
	return status, pipes.Finish()
}

// execTerminal runs p on a terminal of its own, which is joined to the terminal
// that stdio.In must be.
func (m *Manager) execTerminal(name string, p *specs.Process, stdio Stdio) (int, error) {
	if stdio.In == nil || !term.IsTerminal(int(stdio.In.Fd())) {
		return 0, fail.New(fail.Usage, "standard input is not a terminal")
	}
	if w, h, err := term.GetSize(int(stdio.In.Fd())); err == nil {
		p.ConsoleSize = &specs.Box{Width: uint(w), Height: uint(h)}
	}
	signals := streams.CatchSignals()
	defer signals.Stop()
	r, err := m.containers.Exec(name, p, [3]*os.File{})
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

// atProcessLimit reports whether the VPS has as many processes as it may have.
// A command that cannot be started then fails at a place that tells nothing.
func (m *Manager) atProcessLimit(name string) bool {
	u, err := m.containers.Usage(name)
	return err == nil && u.PIDsLimit > 0 && u.PIDs+nearLimit >= u.PIDsLimit
}

// nearLimit is how many processes and threads libcontainer starts for a command.
const nearLimit = 8

// execError sorts out why the command p could not be run.
func (m *Manager) execError(name string, p *specs.Process, err error) error {
	if errors.Is(err, container.ErrAbsent) || errors.Is(err, container.ErrNotRunning) {
		return fail.New(fail.State, "%s is not running", name).WithHint("croft start %s", name)
	}
	init := m.initProcess(name)
	not, e := readRunning(init, func(root *inside.Root) (*CommandError, error) { return notExecuted(p, root.Executable, err), nil })
	switch {
	case not != nil:
		return not
	case errors.Is(e, inside.ErrGone), !alive(init): // whatever libcontainer met then
		return fail.New(fail.State, "%s has ended", name).WithHint("croft start %s", name)
	case noMoreProcesses(err), m.atProcessLimit(name):
		return fail.New(fail.State, "%s is at its limit of processes", name).WithHint("croft inspect %s", name)
	}
	return err
}

// noMoreProcesses reports whether the kernel refused another process. The
// failure comes from other processes, as text: of Go or of the C library.
func noMoreProcesses(err error) bool {
	return strings.Contains(strings.ToLower(err.Error()), syscall.EAGAIN.Error())
}

// output runs a command in a VPS and returns what it printed.
func (m *Manager) output(ctx context.Context, name string, args ...string) (string, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return "", fmt.Errorf("make pipe: %w", err)
	}
	defer read.Close()
	text := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(io.LimitReader(read, 1<<20))
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

// runInside runs a command in a VPS for its effect.
func (m *Manager) runInside(ctx context.Context, name string, args ...string) error {
	_, err := m.output(ctx, name, args...)
	return err
}
