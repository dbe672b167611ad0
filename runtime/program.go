package runtime

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

// notExecuted says why the command of p could not be executed inside, where
// running it failed with err. It is nil if the command is not to blame: then
// croft or the host is. executable tells what a file inside is.
//
// What is wrong with a file is asked of the file, not read from err, which was
// made in another process and comes over a pipe as text. What only execve(2)
// finds out, like a missing interpreter, is no failure of running the command:
// libcontainer has let go of it then, and it ends with 255.
func notExecuted(p *specs.Process, executable func(file string) error, err error) *CommandError {
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

// programFiles are the files that command may mean, as execvp(3) looks for them.
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

// refusedBy is the failure of a file that some user may execute, but not the
// one of the command: nil if err is not that. It is compared with what os/exec
// prints.
func refusedBy(err error, command string) *CommandError {
	says := func(why error) bool {
		return strings.HasSuffix(err.Error(), (&exec.Error{Name: command, Err: why}).Error())
	}
	switch {
	case says(exec.ErrNotFound): // in a directory that it may not search
		return absentCommand(command)
	case says(syscall.EACCES):
		return cannotExecute(command, syscall.EACCES.Error())
	}
	return nil
}

func absentCommand(command string) *CommandError {
	return &CommandError{Status: fail.ExecNotFound, Err: fmt.Errorf("no command %q inside", command)}
}

func cannotExecute(command, reason string) *CommandError {
	return &CommandError{Status: fail.ExecNotRunable, Err: fmt.Errorf("cannot execute %q inside: %s", command, reason)}
}
