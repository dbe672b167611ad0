package cli

import (
	"cmp"
	"context"

	"golang.org/x/term"

	"croft/runtime"
)

func execVerb() *verb {
	return &verb{
		name: "exec", group: groupInside, args: "NAME [--] COMMAND...", words: vpsNames,
		summary: "run a command in a VPS",
		about: `What comes after the first word of COMMAND is COMMAND's, options too; "--"
before it is only needed where it begins with a "-". It gets a clean
environment: PATH HOME USER LOGNAME LANG, TERM with a terminal, and --env. The
signals that croft is sent are passed on to it.

To copy files into a VPS or out of it, use tar and "--":

  tar -C DIR -c . | croft exec NAME -- tar -C /root -x
  croft exec NAME -- tar -C /etc -c . | tar -C DIR -x

The exit status is COMMAND's, 128+n if signal n ended it, 127 if there is no
such command, 126 if it cannot be executed, 125 if croft failed.`,
		options: append([]option{
			{name: "env", short: "e", placeholder: "NAME=VALUE", many: true, usage: "a variable in its environment; may be repeated"},
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
				return exited(m.Exec(ctx, name, o))
			})
		},
	}
}

// execOptions are those of exec and run, but for --env: create has one, too.
func execOptions() []option {
	return []option{
		{name: "user", short: "u", placeholder: "USER[:GROUP]", usage: "who runs it, by name or number inside (root)"},
		loginOption(),
		{name: "cwd", short: "w", placeholder: "DIR", usage: "its working directory (the user's home)"},
		{name: "terminal", also: "tty", short: "t", usage: "allocate a terminal; by default it gets one if stdin, stdout and stderr are a terminal"},
		{name: "no-terminal", short: "T", usage: "do not allocate a terminal"},
		{name: "interactive", short: "i", usage: "pass stdin to it; croft always does, so that this changes nothing"},
	}
}

func loginOption() option {
	return option{name: "login", usage: "run it in a login session of the user, made by su in the VPS: with PAM, a user manager and XDG_RUNTIME_DIR where the VPS has them"}
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
		i.err = usageError("--terminal: standard input is no terminal")
	}
	return o
}

func runVerb() *verb {
	return &verb{
		name: "run", group: groupLife, args: "[--] [COMMAND...]",
		summary: "create and start a VPS, and run a command in it",
		about: `It is create, start, exec and, with --rm, destroy in one. Without a COMMAND it
enters the VPS, on a terminal. COMMAND runs at once, or with --wait when the
VPS has booted. The exit status is COMMAND's, as it is exec's. Without --rm the
VPS is kept, and goes on running if it has an init; its name is printed on
stderr unless --name gave it.

An image without an init runs its entrypoint with COMMAND as its arguments,
instead of the image's own, by its user, in its directory, with its environment;
the VPS ends with it.

The options are those of create and of exec. --env is for COMMAND and for init.`,
		options: append(append([]option{
			{name: "name", placeholder: "NAME", usage: "its name instead of a made up one"},
			{name: "rm", usage: "destroy it when COMMAND has ended, however that ended"},
			{name: "detach", short: "d", usage: "start it, print its name, and leave it running; takes no COMMAND"},
			waitOption("run COMMAND"),
		}, settings()...), execOptions()...),
		inside: true, before: 0, statusInside: true, signals: callOffOnce,
		run: runRun,
	}
}

func runRun(ctx context.Context, i *invocation) error {
	o := runtime.RunOptions{
		CreateOptions: createOptions(i),
		Name:          get(i, "name", parseName),
		Remove:        i.flags.Bool("rm"),
		Detach:        i.flags.Bool("detach"),
		Wait:          get(i, "wait", parseWait),
		Exec:          readExecOptions(i),
	}
	o.Exec.Args, o.Exec.Env = i.words, o.Env
	i.notBoth("detach", "rm")
	if i.err == nil && o.Detach && len(i.words) > 0 {
		i.err = usageError("--detach: the VPS is started and no COMMAND runs; run one in it with croft exec")
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
		name: "enter", group: groupInside, args: "NAME", words: vpsNames,
		summary: "open a shell in a VPS",
		about:   `The exit status is the shell's, as it is exec's.`,
		options: []option{
			{name: "user", short: "u", placeholder: "USER", usage: "whose shell it is, by name or number inside (root)"},
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
		name: "console", group: groupInside, args: "NAME", words: vpsNames,
		summary: "attach to the console of a VPS",
		about: `On a terminal Ctrl-] leaves it, and so does Esc . at the beginning of a line.
Elsewhere what stdin holds is typed, and the end of the VPS is the end.`,
		aliases: []string{"attach"},
		run: func(ctx context.Context, i *invocation) error {
			return forOne(ctx, i, "attach to the console", func(ctx context.Context, m Manager, name string) error {
				return m.Console(ctx, name, i.stdio)
			})
		},
	}
}
