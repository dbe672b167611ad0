// Package oci is croft as an OCI runtime: runc's command line, for those who
// call one.
//
// Every verb is a value, from which its parsing and its help are made. Options
// of all verbs stand before the verb's name. What goes where:
//
//   - stdout carries results and nothing else;
//   - messages go to the file that --log names, as text or JSON, and an error
//     to stderr too, where the callers of an OCI runtime read it;
//   - the exit status is that of the process inside, or 0; else 1, and for
//     exec 255.
package oci

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/userns"
	"github.com/sirupsen/logrus"
)

// Name is what this command line is called when the program's name does not
// say otherwise.
const Name = "croft-oci"

// Called reports whether a program that is called name is an OCI runtime:
// a link to croft of one of these names. There are callers that insist on runc.
func Called(name string) bool {
	return slices.Contains([]string{Name, "runc"}, filepath.Base(name))
}

// Main runs the command line args, args[0] being the program's name, of this
// version of croft, and returns the exit status.
func Main(args []string, version string) int {
	program := Name
	if Called(args[0]) {
		program = filepath.Base(args[0])
	}
	l := &line{program: program, version: version}
	if err := l.parse(args[1:]); err != nil {
		_ = l.openLog() // where the caller looks for it
		return l.fail(err)
	}
	if done := l.answer(); done {
		return 0
	}
	if err := l.prepare(); err != nil {
		return l.fail(err)
	}
	status, err := l.verb.run(l)
	if err != nil {
		return l.fail(err)
	}
	return status
}

// answer prints what was asked of the command line itself, and reports whether
// that was all.
func (l *line) answer() bool {
	switch {
	case l.help && l.verb != nil:
		fmt.Print(l.verb.help(l.program))
	case l.help, l.verb == nil && !l.global.has("version"):
		fmt.Print(help(l.program))
	case l.global.has("version"):
		fmt.Print(l.versionText())
	default:
		return false
	}
	return true
}

// A failure is an error with an exit status of its own.
type failure struct {
	status int
	error
}

func (f failure) Unwrap() error { return f.error }

// fail says why and returns the exit status.
func (l *line) fail(err error) int {
	logrus.Error(err)
	if l.global.text("log") != "" {
		fmt.Fprintln(os.Stderr, err)
	}
	var f failure
	if errors.As(err, &f) {
		return f.status
	}
	return 1
}

// prepare does what the options of all verbs ask for.
func (l *line) prepare() error {
	if err := l.openLog(); err != nil {
		return err
	}
	if err := l.findRoot(); err != nil {
		return err
	}
	return l.findCriu()
}

// findRoot makes l.root the directory below which containers are kept.
func (l *line) findRoot() error {
	if !l.global.has("root") {
		l.root = filepath.Join("/run", Name)
		if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && ownRuntimeDir() {
			l.root = filepath.Join(dir, Name)
			// The sticky bit keeps what is there from being cleaned away
			// (XDG base directory specification).
			if err := os.MkdirAll(l.root, 0o700); err != nil {
				return fmt.Errorf("the path in $XDG_RUNTIME_DIR must be writable by the user: %w", err)
			}
			return os.Chmod(l.root, 0o700|os.ModeSticky)
		}
		return nil
	}
	root, err := filepath.Abs(l.global.text("root"))
	if err != nil {
		return err
	}
	if root == "/" {
		return errors.New("Option --root argument should not be set to /")
	}
	l.root = root
	return nil
}

// ownRuntimeDir says whether $XDG_RUNTIME_DIR is the caller's own: root of the
// host has none, even where sudo(8) has left one.
func ownRuntimeDir() bool {
	return os.Geteuid() != 0 || userns.RunningInUserNS() && os.Getenv("USER") != "root"
}

// findCriu lets --criu say which criu is found first: it is looked for by that
// name.
func (l *line) findCriu() error {
	path := l.global.text("criu")
	if path == "" {
		return nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if filepath.Base(path) != "criu" {
		return fmt.Errorf("--criu %s: the program has to be called criu", path)
	}
	return os.Setenv("PATH", strings.TrimSuffix(filepath.Dir(path)+":"+os.Getenv("PATH"), ":"))
}
