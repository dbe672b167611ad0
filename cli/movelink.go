package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"

	"croft/cli/command"
	"croft/internal/fail"
	"croft/internal/ssh"
	"croft/internal/vps"
	"croft/runtime"
)

// A link is an ssh(1) that runs "croft move --receive" on another host. What it prints on
// stderr the user sees.
type link struct {
	io.Reader
	in   io.WriteCloser
	cmd  *exec.Cmd
	host ssh.Host
	app  *command.App
}

// dialMove runs ssh. A host that does not answer any more ends the connection after half a
// minute. The end of ctx does not end it: a move that is cancelled tells the other host.
func dialMove(_ context.Context, a *command.App, host ssh.Host) (runtime.MoveLink, error) {
	argv := host.Line(ssh.Command{
		Words: []string{"move", "--receive"}, Version: versionOf(debug.ReadBuildInfo()).String(), Missing: int(fail.Host), Invalid: int(fail.Usage),
		Options: []string{"ConnectTimeout=20", "ServerAliveInterval=10", "ServerAliveCountMax=3"}, SSH: a.Getenv("CROFT_SSH"),
	})
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = a.Stdio.Err
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	if err = cmd.Start(); err != nil {
		return nil, noSSH(err)
	}
	return &link{Reader: out, in: in, cmd: cmd, host: host, app: a}, nil
}

func (l *link) Write(p []byte) (int, error) { return l.in.Write(p) }

// Close ends the connection, and says how it has ended.
func (l *link) Close() error {
	_ = l.in.Close() // then croft there ends, and ssh
	_, _ = io.Copy(io.Discard, l.Reader)
	err := l.cmd.Wait()
	var status *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status) && status.ExitCode() == sshFailed:
		return unreachable(l.app, l.host)
	case errors.As(err, &status) && status.ExitCode() > 0:
		return fail.New(fail.Kind(status.ExitCode()), "croft on %s has failed with exit status %d", l.host, status.ExitCode())
	}
	return fail.New(fail.Host, "ssh has ended: %w", err)
}

// guardMove starts the guard of the move of name: this program again, in a session of its
// own, so that neither a signal from the terminal nor kill -9 of this process ends it.
func guardMove(i *command.Invocation, name vps.Name) (ended func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find croft's own binary: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer read.Close()
	args := []string{"--lock-timeout", "60s"}
	for _, o := range []struct{ option, value string }{{"--root", i.Place.Root}, {"--run-dir", i.Place.Run}, {"--config-dir", i.Place.Config}, {"--cgroup-manager", i.Place.CgroupManager}} {
		if o.value != "" {
			args = append(args, o.option, o.value)
		}
	}
	cmd := exec.Command(self, append(args, "move", "--settle", string(name))...)
	cmd.Args[0], cmd.Dir, cmd.Stdin = "croft", "/", read
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		write.Close()
		return nil, fmt.Errorf("start the guard of the move: %w", err)
	}
	return func() {
		_, _ = write.WriteString("x")
		write.Close()
		_ = cmd.Wait() // it has nothing to do
	}, nil
}
