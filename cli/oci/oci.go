// Package oci is croft as an OCI runtime, with the command line of runc.
//
// The verbs are a table of cli/cmdline, as those of croft are: parser and help
// come from it. Options of all verbs stand before the verb. The output:
//
//   - stdout carries results and nothing else;
//   - messages go to the file of --log, as text or JSON; an error goes to stderr
//     too, because callers of an OCI runtime read it there;
//   - the exit status is the status of the process inside, or 0; after a failure
//     it is 1, or 255 for exec.
package oci

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"croft/cli/cmdline"

	"github.com/moby/sys/userns"
	"github.com/sirupsen/logrus"
)

// Name is the name of this command line, unless the program has another one of
// Called.
const Name = "croft-oci"

// Called reports whether a program with this name is an OCI runtime: a link to
// croft with one of two names. Some callers require the name runc.
func Called(name string) bool {
	return slices.Contains([]string{Name, "runc"}, filepath.Base(name))
}

// A program is one run of this command line.
type program struct {
	name    string // of the program: croft-oci or runc
	version string // of croft
	typed   cmdline.Line
	root    string // directory of the containers
	status  int    // exit status of the verb
}

// Main runs the command line args, args[0] being the program's name, of this
// version of croft, and returns the exit status.
func Main(args []string, version string) int {
	p := &program{name: Name, version: version}
	if Called(args[0]) {
		p.name = filepath.Base(args[0])
	}
	table := p.table()
	var err error
	if p.typed, err = cmdline.Read(table, args[1:]); err != nil {
		_ = p.openLog() // the caller reads errors there
		return p.fail(err)
	}
	if p.answer(table) {
		return 0
	}
	err = p.prepare()
	if err == nil {
		err = p.typed.Run(context.Background(), table)
	}
	if err != nil {
		return p.fail(err)
	}
	return p.status
}

// answer prints help or the version if the command line asks for it, and
// reports whether that was all.
func (p *program) answer(table *cmdline.Verb) bool {
	switch _, version := p.typed.Global("version"); {
	case p.typed.Help && p.typed.Verb != table:
		fmt.Print(help(p.name, p.typed.Verb))
	case p.typed.Help, p.typed.Verb == table && !version:
		fmt.Print(tableHelp(p.name, table))
	case version:
		fmt.Print(p.versionText())
	default:
		return false
	}
	return true
}

// global returns the value of an option of all verbs; "" if it was not given.
func (p *program) global(name string) string {
	value, _ := p.typed.Global(name)
	return value
}

// globalIs reports whether an option of all verbs that takes no value was given.
func (p *program) globalIs(name string) bool { return p.global(name) == "true" }

// A failure is an error with an exit status of its own.
type failure struct {
	status int
	error
}

func (f failure) Unwrap() error { return f.error }

// fail prints the error and returns the exit status.
func (p *program) fail(err error) int {
	logrus.Error(err)
	if p.global("log") != "" {
		fmt.Fprintln(os.Stderr, err)
	}
	return exitStatus(err)
}

// exitStatus returns the exit status of an error, as runc has it.
func exitStatus(err error) int {
	var f failure
	var unknown *cmdline.UnknownVerb
	switch {
	case errors.As(err, &f):
		return f.status
	case errors.As(err, &unknown):
		return 3
	}
	return 1
}

// prepare applies the options of all verbs.
func (p *program) prepare() error {
	if err := p.openLog(); err != nil {
		return err
	}
	if err := p.findRoot(); err != nil {
		return err
	}
	return p.findCriu()
}

// findRoot sets p.root to the directory of the containers.
func (p *program) findRoot() error {
	if _, given := p.typed.Global("root"); !given {
		p.root = filepath.Join("/run", Name)
		if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && ownRuntimeDir() {
			p.root = filepath.Join(dir, Name)
			// The sticky bit protects the files from a cleaner of old files (XDG
			// base directory specification).
			if err := os.MkdirAll(p.root, 0o700); err != nil {
				return fmt.Errorf("the path in $XDG_RUNTIME_DIR must be writable by the user: %w", err)
			}
			return os.Chmod(p.root, 0o700|os.ModeSticky)
		}
		return nil
	}
	root, err := filepath.Abs(p.global("root"))
	if err != nil {
		return err
	}
	if root == "/" {
		return errors.New("Option --root argument should not be set to /")
	}
	p.root = root
	return nil
}

// ownRuntimeDir reports whether $XDG_RUNTIME_DIR belongs to the caller. For root
// of the host it does not: sudo(8) may have kept the variable of a user.
func ownRuntimeDir() bool {
	return os.Geteuid() != 0 || userns.RunningInUserNS() && os.Getenv("USER") != "root"
}

// findCriu puts the directory of --criu first in PATH: libcontainer looks for
// a program named criu.
func (p *program) findCriu() error {
	path := p.global("criu")
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
