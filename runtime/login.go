package runtime

import (
	"strconv"
	"strings"

	"croft/internal/fail"
	"croft/internal/inside"
)

// asLogin is o as a command of root's that makes a login session for o.User and
// runs o.Args in it, or the user's shell if there are none. The user has to have
// an account in the VPS whose root directory is root.
func (o ExecOptions) asLogin(root *inside.Root) (ExecOptions, error) {
	if strings.Contains(o.User, ":") {
		return o, fail.New(fail.Usage, "--login cannot be used with a group: a login session has the groups of its user")
	}
	who, err := userInside(root, o.User)
	if err != nil {
		return o, err
	}
	if who.Uid != 0 && who.Name == strconv.Itoa(who.Uid) {
		return o, fail.New(fail.Usage, "user %d has no account inside and cannot log in", who.Uid)
	}
	args := []string{"su", "-", who.Name}
	if len(o.Args) > 0 {
		args = append(args, "-c", o.script())
	}
	o.Args, o.Env, o.User, o.Cwd, o.Login = args, nil, "", "/", false
	return o, nil
}

// script is the command as su's shell takes it.
func (o ExecOptions) script() string {
	var s strings.Builder
	if o.Cwd != "" {
		s.WriteString("cd " + quoted(o.Cwd) + " && ")
	}
	s.WriteString("exec")
	if len(o.Env) > 0 {
		s.WriteString(" env")
		for _, e := range o.Env {
			s.WriteString(" " + quoted(e))
		}
	}
	for _, a := range o.Args {
		s.WriteString(" " + quoted(a))
	}
	return s.String()
}

// quoted is one word for a POSIX shell.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
