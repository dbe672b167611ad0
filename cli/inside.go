package cli

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/term"

	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime"
)

func execVerb() *verb {
	return &verb{
		name: "exec", group: groupInside, args: "NAME [--] COMMAND...", words: runningNames,
		summary: "run a command in a VPS",
		examples: []string{
			"croft exec web -- apt-get -y install nginx",
			"croft exec web -- sh -c 'ls /etc | wc -l'",
			"tar -C site -c . | croft exec web -- tar -C /var/www/html -x",
			"croft exec web -- tar -C /etc -c . | tar -C backup -x",
		},
		about: `The words after COMMAND belong to COMMAND, also those that begin with "-". Use
"--" before a COMMAND that begins with "-". COMMAND is not run by a shell.

COMMAND gets a clean environment: PATH, HOME, USER, LOGNAME, LANG, TERM if it has
a terminal, and what --env sets. Signals that croft receives are passed on to it.

The exit status is that of COMMAND, 128+n if signal n ended it, 127 if COMMAND
was not found, 126 if it cannot be executed, 125 if croft failed.`,
		options: append([]option{
			{name: "env", short: "e", placeholder: "NAME=VALUE", many: true, usage: "environment variable of COMMAND; may be repeated"},
		}, execOptions()...),
		inside: true, before: 1, statusInside: true, signals: theirs,
		run: func(ctx context.Context, i *invocation) error {
			o := readExecOptions(i)
			o.Env = getMany(i, "env", parseEnv)
			if len(i.words) == 0 {
				return usageError("exec: no NAME given")
			}
			if o.Args = i.words[1:]; len(o.Args) == 0 {
				return usageError("exec: no COMMAND given").WithHint("%s", quote([]string{"croft", "enter", i.words[0]}))
			}
			i.words = i.words[:1]
			return forOne(ctx, i, "exec", func(ctx context.Context, m Manager, name string) error {
				code, err := m.Exec(ctx, name, o)
				return exited(code, i.shellLine(o.Args, err))
			})
		},
	}
}

// shellLine adds a hint to the error of a command that was not found because a
// whole line for a shell was typed as its name.
func (i *invocation) shellLine(args []string, err error) error {
	var command *runtime.CommandError
	if len(args) != 1 || !strings.ContainsAny(args[0], " \t") || !errors.As(err, &command) || command.Status != fail.ExecNotFound {
		return err
	}
	before := i.typed[:len(i.typed)-1] // the line ends with the command
	if before[len(before)-1] == "--" {
		before = before[:len(before)-1]
	}
	words := slices.Concat([]string{"croft"}, before, []string{"--", "sh", "-c", args[0]})
	return fail.New(fail.NotFound, "%w", err).WithHint("%s", quote(words))
}

// execOptions are those of exec and run, but for --env: create has one, too.
func execOptions() []option {
	return []option{
		{name: "user", short: "u", placeholder: "USER[:GROUP]", usage: "user that runs COMMAND, a name or number inside (default: root)"},
		loginOption(),
		{name: "cwd", short: "w", placeholder: "DIR", usage: "working directory (default: the home of the user)"},
		{name: "terminal", also: "tty", short: "t", usage: "allocate a terminal (default: if stdin, stdout and stderr are terminals)"},
		{name: "no-terminal", short: "T", usage: "do not allocate a terminal"},
		{name: "interactive", short: "i", usage: "pass stdin to COMMAND; accepted for consistency, croft always does"},
	}
}

func loginOption() option {
	return option{name: "login", usage: "use a login session of the user, made by su in the VPS: with PAM, a user manager and XDG_RUNTIME_DIR if the VPS has them"}
}

func readExecOptions(i *invocation) runtime.ExecOptions {
	i.notBoth("terminal", "no-terminal")
	o := runtime.ExecOptions{
		User:  get(i, "user", parseUser),
		Cwd:   get(i, "cwd", parseAbsolute),
		Login: i.flags.Bool("login"),
		Stdio: i.stdio,
	}
	in := term.IsTerminal(int(i.stdio.In.Fd()))
	all := in && term.IsTerminal(int(i.stdio.Out.Fd())) && term.IsTerminal(int(i.stdio.Err.Fd()))
	o.Terminal = i.flags.Bool("terminal") || all && !i.flags.Bool("no-terminal")
	if o.Terminal && !in && i.err == nil {
		i.err = usageError("--terminal: standard input is not a terminal")
	}
	return o
}

func runVerb() *verb {
	return &verb{
		name: "run", group: groupLife, args: "[--] [COMMAND...]",
		summary: "create and start a VPS, and run a command in it",
		examples: []string{
			"croft run --rm --template busybox -- uname -a",
			"croft run --detach --name web --template debian-12 --publish 8080:80",
		},
		about: `Does create, start, exec and, with --rm, destroy in one command. Without COMMAND
it opens a shell, if stdin is a terminal. COMMAND runs at once, or with --wait
when the VPS has booted. The exit status is the same as that of exec. Without
--rm the VPS is kept, and keeps running if it has an init; its name is printed on
stderr unless --name set it.

An image without an init runs its entrypoint with COMMAND instead of the image's
own arguments, with the image's user, directory and environment. The VPS stops
when the entrypoint ends.

The options are those of create and exec. --env applies to COMMAND and to init.`,
		options: append(append([]option{
			{name: "name", placeholder: "NAME", usage: "name of the VPS (default: a random one)"},
			{name: "rm", usage: "destroy the VPS when COMMAND ends, also if it fails"},
			{name: "detach", short: "d", usage: "start the VPS, print its name and leave it running; takes no COMMAND"},
			waitOption("run COMMAND"),
		}, settings()...), execOptions()...),
		inside: true, before: 0, statusInside: true, signals: callOffOnce,
		run: runRun,
	}
}

func runRun(ctx context.Context, i *invocation) error {
	o := runtime.RunOptions{
		CreateOptions: createOptions(i),
		Name:          get(i, "name", vps.ParseName),
		Remove:        i.flags.Bool("rm"),
		Detach:        i.flags.Bool("detach"),
		Wait:          get(i, "wait", parseWait),
		Exec:          readExecOptions(i),
	}
	o.Exec.Args, o.Exec.Env = i.words, o.Env
	i.notBoth("detach", "rm")
	if i.err == nil && o.Detach && len(i.words) > 0 {
		i.err = usageError("--detach takes no COMMAND; run one with croft exec afterwards")
	}
	name := ""
	o.Named = func(made string) {
		if name = made; o.Name == "" && !o.Remove && !o.Detach {
			i.screen.line(made + ": created; it is kept when the command ends (--rm destroys it then)")
		}
	}
	m, err := i.manager()
	if err != nil {
		return err
	}
	code, err := m.Run(ctx, o)
	if err == nil && o.Detach {
		return i.print(name + "\n")
	}
	who := cmp.Or(o.Name, name)
	if who == "" {
		who = o.Template
	}
	return cannot("run", who, exited(code, err))
}

func enterVerb() *verb {
	return &verb{
		name: "enter", group: groupInside, args: "NAME", words: runningNames,
		summary:  "open a shell in a VPS",
		examples: []string{"croft enter web", "croft enter --user www-data web"},
		about:    `The exit status is that of the shell; see "croft help exec".`,
		options: []option{
			{name: "user", short: "u", placeholder: "USER", usage: "user of the shell, a name or number inside (default: root)"},
			loginOption(),
		},
		aliases:      []string{"shell"},
		synonyms:     []string{"ssh", "login", "sh"},
		statusInside: true, signals: theirs,
		run: func(ctx context.Context, i *invocation) error {
			o := runtime.ExecOptions{User: get(i, "user", parseUser), Login: i.flags.Bool("login"), Stdio: i.stdio}
			return forOne(ctx, i, "enter", func(ctx context.Context, m Manager, name string) error {
				return exited(m.Enter(ctx, name, o))
			})
		},
	}
}

func consoleVerb() *verb {
	return &verb{
		name: "console", group: groupInside, args: "NAME", words: activeNames,
		summary:  "attach to the console of a VPS",
		examples: []string{"croft console web"},
		about: `On a terminal, Ctrl-] detaches; so does "Esc ." at the beginning of a line.
Without a terminal, stdin is sent to the console and the command ends when the
VPS stops.

A login at the console needs a password. In the templates that croft builds,
root has none. To set one, run "croft enter NAME" and then passwd, or for a
Debian VPS:

  echo root:SECRET | croft exec NAME -- chpasswd

"croft enter" needs no password.`,
		aliases: []string{"attach"},
		run: func(ctx context.Context, i *invocation) error {
			return forOne(ctx, i, "attach to the console", func(ctx context.Context, m Manager, name string) error {
				return m.Console(ctx, name, i.stdio)
			})
		},
	}
}
