package cli

import (
	"errors"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"

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

// runElsewhere becomes the ssh(1) that runs the line on host. It returns after an error
// only.
func runElsewhere(a *command.App, host ssh.Host, line cmdline.Line) error {
	c := ssh.Command{
		Words: line.Elsewhere(), Terminal: allTerminals(a), Version: versionOf(debug.ReadBuildInfo()).String(),
		Missing: int(fail.Host), Invalid: int(fail.Usage),
	}
	if line.Verb.StatusInside {
		c.Missing, c.Invalid = fail.ExecFailed, fail.ExecFailed
	}
	err := a.Replace(host.Line(c), a.Umask)
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
