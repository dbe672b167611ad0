package cli

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/internal/fail"
	"croft/internal/ssh"
)

// hostOf returns the other host that a line is for.
func hostOf(a *command.App, line cmdline.Line) (host ssh.Host, elsewhere bool, err error) {
	text, given := line.Global("host")
	from := "--host"
	if !given {
		text, from = a.Getenv("CROFT_HOST"), "CROFT_HOST"
	}
	switch {
	case given && line.Verb.Here:
		return host, false, command.UsageError("%s: --host: this command runs on this host only", strings.Join(line.Path, " "))
	case given && line.Verb.Foreign:
		return host, false, command.UsageError("--host: an OCI runtime is for this host only")
	case !given && (text == "" || line.Verb.Here || line.Verb.Foreign):
		return host, false, nil
	case text == "":
		return host, false, command.UsageError("--host: it is empty")
	}
	if host, err = ssh.ParseHost(text); err != nil {
		return host, false, command.UsageError("%s: %w", from, err)
	}
	return host, true, nil
}

// runElsewhere runs the line on host by ssh(1). Croft becomes ssh if that talks to the user
// at a terminal, and if the exit status can be that of a command inside. Otherwise croft
// waits, and tells what helps if ssh fails.
func runElsewhere(a *command.App, host ssh.Host, line cmdline.Line) error {
	c := ssh.Command{
		Words: line.Elsewhere(), Terminal: allTerminals(a), Version: versionOf(debug.ReadBuildInfo()).String(),
		Missing: int(fail.Host), Invalid: int(fail.Usage), SSH: a.Getenv("CROFT_SSH"),
	}
	if line.Verb.StatusInside {
		c.Missing, c.Invalid = fail.ExecFailed, fail.ExecFailed
	}
	if c.Terminal || line.Verb.StatusInside {
		return noSSH(a.Replace(host.Line(c), a.Umask))
	}
	status, err := a.Child(host.Line(c), a.Umask)
	if err != nil {
		return noSSH(err)
	}
	if status == sshFailed {
		a.Report(line.Path, unreachable(a, host))
	}
	return command.Status(status)
}

// sshFailed is the exit status of ssh(1) after a failure of its own.
const sshFailed = 255

// unreachable is the error after ssh has printed why it fails.
func unreachable(a *command.App, host ssh.Host) error {
	return fail.New(fail.Host, "ssh cannot run croft on %s", host).WithHint("%s", host.Try(a.Getenv("CROFT_SSH")))
}

// noSSH is the error if ssh does not run.
func noSSH(err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return fail.New(fail.Host, "this host has no ssh, which reaches other hosts")
	}
	return fail.New(fail.Host, "cannot run ssh: %w", err)
}

// allTerminals reports whether standard input, output and error are terminals.
func allTerminals(a *command.App) bool {
	for _, f := range []*os.File{a.Stdio.In, a.Stdio.Out, a.Stdio.Err} {
		if !term.IsTerminal(int(f.Fd())) {
			return false
		}
	}
	return true
}

// replaceProcess becomes the program argv[0], which has the umask.
func replaceProcess(argv []string, umask int) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	unix.Umask(umask)
	return unix.Exec(path, argv, os.Environ())
}

// runChild runs the program argv[0], which has the umask, and returns its exit status. It
// ends with croft.
func runChild(argv []string, umask int) (status int, err error) {
	runtime.LockOSThread() // Pdeathsig is about this thread
	defer runtime.UnlockOSThread()
	unix.Umask(umask)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	err = cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0, err
	}
	if w, ok := exit.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal()), nil
	}
	return exit.ExitCode(), nil
}
