package command

import (
	"strconv"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"croft/internal/fail"
	"croft/internal/inside"
)

// asLogin is o as a command of root that makes a login session for o.User with
// su(1), and runs o.Args there, or the user's shell without o.Args. The user must
// have an account below root.
func (o Options) asLogin(root *inside.Root) (Options, error) {
	if strings.Contains(o.User, ":") {
		return o, fail.New(fail.Usage, "--login cannot be used with a group: a login session has the groups of its user")
	}
	who, err := FindAccount(root, o.User)
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

// script is the command as a line for the shell of su(1).
func (o Options) script() string {
	var s strings.Builder
	if o.Cwd != "" {
		s.WriteString("cd " + shellescape.Quote(o.Cwd) + " && ")
	}
	s.WriteString("exec")
	if len(o.Env) > 0 {
		s.WriteString(" env " + shellescape.QuoteCommand(o.Env))
	}
	return s.String() + " " + shellescape.QuoteCommand(o.Args)
}
