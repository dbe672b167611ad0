package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path"
	"slices"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/internal/fail"
)

// An Error is a command that cannot be executed inside. Status is 126 or 127, as
// in a shell.
type Error struct {
	Status int
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// NotExecuted returns why the command of p could not be executed inside, when
// running it failed with err. It is nil if another thing than the command has
// failed. executable returns why a file inside cannot be executed.
//
// It looks at the file and does not interpret err, which another process made
// and sent through a pipe as text. Errors that only execve(2) finds, like a
// missing interpreter, do not get here: libcontainer has finished by then, and
// the command ends with 255.
func NotExecuted(p *specs.Process, executable func(file string) error, err error) *Error {
	command := p.Args[0]
	var refused error
	for _, file := range programFiles(command, p.Env, p.Cwd) {
		why := executable(file)
		switch {
		case why == nil:
			return refusedBy(err, command)
		case errors.Is(why, fs.ErrNotExist):
		case refused == nil:
			refused = why
		}
	}
	if refused != nil {
		return cannotExecute(command, refused.Error())
	}
	return absentCommand(command)
}

// programFiles are the files that command may name, in the order of execvp(3).
func programFiles(command string, env []string, cwd string) []string {
	if strings.Contains(command, "/") {
		if !path.IsAbs(command) {
			command = path.Join(cwd, command)
		}
		return []string{command}
	}
	var files []string
	for _, e := range slices.Backward(env) {
		dirs, is := strings.CutPrefix(e, "PATH=")
		if !is {
			continue
		}
		for _, dir := range strings.Split(dirs, ":") {
			if path.IsAbs(dir) {
				files = append(files, path.Join(dir, command))
			}
		}
		break
	}
	return files
}

// refusedBy is the Error for a file that other users may execute, but not the
// user of the command; nil if err is something else. It compares err with the
// text of os/exec.
func refusedBy(err error, command string) *Error {
	says := func(why error) bool {
		return strings.HasSuffix(err.Error(), (&exec.Error{Name: command, Err: why}).Error())
	}
	switch {
	case says(exec.ErrNotFound): // in a directory that the user may not search
		return absentCommand(command)
	case says(syscall.EACCES):
		return cannotExecute(command, syscall.EACCES.Error())
	}
	return nil
}

func absentCommand(command string) *Error {
	return &Error{Status: fail.ExecNotFound, Err: fmt.Errorf("no command %q inside", command)}
}

func cannotExecute(command, reason string) *Error {
	return &Error{Status: fail.ExecNotRunable, Err: fmt.Errorf("cannot execute %q inside: %s", command, reason)}
}
