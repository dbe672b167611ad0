package cli

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/term"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/options"
	"croft/cli/values"
	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime"
)

func execVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "exec", Group: command.GroupInside, Args: "NAME [--] COMMAND...", Words: command.RunningNames,
		Summary: "run a command in a VPS",
		Examples: []string{
			"croft exec web -- apt-get -y install nginx",
			"croft exec web -- sh -c 'ls /etc | wc -l'",
			"tar -C site -c . | croft exec web -- tar -C /var/www/html -x",
			"croft exec web -- tar -C /etc -c . | tar -C backup -x",
		},
		About: `The words after COMMAND belong to COMMAND, also those that begin with "-". Use
"--" before a COMMAND that begins with "-". COMMAND is not run by a shell.

COMMAND gets a clean environment: PATH, HOME, USER, LOGNAME, LANG, TERM if it has
a terminal, and what --env sets. Signals that croft receives are passed on to it.

The exit status is that of COMMAND, 128+n if signal n ended it, 127 if COMMAND
was not found, 126 if it cannot be executed, 125 if croft failed.`,
		Options: append([]cmdline.Option{
			{Name: "env", Short: "e", Placeholder: "NAME=VALUE", Many: true, Usage: "environment variable of COMMAND; may be repeated"},
		}, execOptions()...),
		Inside: true, Before: 1, StatusInside: true, Signals: cmdline.PassOn,
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := readExecOptions(i)
			o.Env = command.GetMany(i, "env", values.Env)
			if len(i.Words) == 0 {
				return command.UsageError("exec: no NAME given")
			}
			if o.Args = i.Words[1:]; len(o.Args) == 0 {
				return command.UsageError("exec: no COMMAND given").WithHint("%s", i.CommandLine("enter", i.Words[0]))
			}
			i.Words = i.Words[:1]
			return command.ForOne(ctx, i, "exec", func(ctx context.Context, m command.Manager, name vps.Name) error {
				code, err := m.Exec(ctx, name, o)
				return command.Exited(code, shellLine(i, o.Args, err))
			})
		}),
	}
}

// shellLine adds a hint to the error of a command that was not found because a
// whole line for a shell was typed as its name.
func shellLine(i *command.Invocation, args []string, err error) error {
	var command *runtime.CommandError
	if len(args) != 1 || !strings.ContainsAny(args[0], " \t") || !errors.As(err, &command) || command.Status != fail.ExecNotFound {
		return err
	}
	before := i.Line[:len(i.Line)-1] // the line ends with the command
	if before[len(before)-1] == "--" {
		before = before[:len(before)-1]
	}
	words := slices.Concat(before, []string{"--", "sh", "-c", args[0]})
	return fail.New(fail.NotFound, "%w", err).WithHint("%s", i.CommandLine(words...))
}

// execOptions returns the options of exec and run, without --env: create has that
// option too.
func execOptions() []cmdline.Option {
	return []cmdline.Option{
		{Name: "user", Short: "u", Placeholder: "USER[:GROUP]", Usage: "user that runs COMMAND, a name or number inside (default: root)"},
		loginOption(),
		{Name: "cwd", Short: "w", Placeholder: "DIR", Usage: "working directory (default: the home of the user)"},
		{Name: "terminal", Also: "tty", Short: "t", Usage: "allocate a terminal (default: if stdin, stdout and stderr are terminals)"},
		{Name: "no-terminal", Short: "T", Usage: "do not allocate a terminal"},
		{Name: "interactive", Short: "i", Usage: "pass stdin to COMMAND; accepted for consistency, croft always does"},
	}
}

func loginOption() cmdline.Option {
	return cmdline.Option{Name: "login", Usage: "use a login session of the user, made by su in the VPS: with PAM, a user manager and XDG_RUNTIME_DIR if the VPS has them"}
}

func readExecOptions(i *command.Invocation) runtime.ExecOptions {
	i.NotBoth("terminal", "no-terminal")
	o := runtime.ExecOptions{
		User:  command.Get(i, "user", values.User),
		Cwd:   command.Get(i, "cwd", values.Absolute),
		Login: i.Is("login"),
		Stdio: i.Stdio,
	}
	in := term.IsTerminal(int(i.Stdio.In.Fd()))
	all := in && term.IsTerminal(int(i.Stdio.Out.Fd())) && term.IsTerminal(int(i.Stdio.Err.Fd()))
	o.Terminal = i.Is("terminal") || all && !i.Is("no-terminal")
	if o.Terminal && !in && i.Err == nil {
		i.Err = command.UsageError("--terminal: standard input is not a terminal")
	}
	return o
}

func runVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "run", Group: command.GroupLife, Args: "[--] [COMMAND...]",
		Summary: "create and start a VPS, and run a command in it",
		Examples: []string{
			"croft run --rm --template busybox -- uname -a",
			"croft run --detach --name web --template debian-12 --publish 8080:80",
			"croft run --rm --clone web -- apt-get -y upgrade",
		},
		About: `Does create, start, exec and, with --rm, destroy in one command. Without COMMAND
it opens a shell, if stdin is a terminal. COMMAND runs at once, or with --wait
when the VPS has booted. The exit status is the same as that of exec. Without
--rm the VPS is kept, and keeps running if it has an init; its name is printed on
stderr unless --name set it.

An image without an init runs its entrypoint with COMMAND instead of the image's
own arguments, with the image's user, directory and environment. The VPS stops
when the entrypoint ends.

With --first-boot COMMAND begins when that script has ended.

The options are those of create and exec. --env applies to COMMAND and to init.
--user is the user that runs COMMAND; --ssh-key and the password are for root.

With --clone the VPS is a clone of another one, or of a snapshot of it, as with "croft
clone", and the options change its settings. Those that only a new VPS can have, such as
--template, --network and --mount, are invalid then. So "croft run --rm --clone web --
COMMAND" tries a command on a copy, which is destroyed when the command ends.`,
		Options: append(append([]cmdline.Option{
			{Name: "name", Placeholder: "NAME", Usage: "name of the VPS (default: a random one)"},
			{Name: "clone", Placeholder: "NAME[@SNAPSHOT]", Usage: "clone that VPS, and do not create one from a template", Kind: command.CloneSources},
			{Name: "rm", Usage: "destroy the VPS when COMMAND ends, also if it fails"},
			{Name: "detach", Short: "d", Usage: "start the VPS, print its name and leave it running; takes no COMMAND"},
			waitOption("run COMMAND"),
		}, options.SettingOptions()...), execOptions()...),
		Inside: true, Before: 0, StatusInside: true, Signals: cmdline.CancelAndPassOn,
		Run: a.Run(runRun),
	}
}

func runRun(ctx context.Context, i *command.Invocation) error {
	o := runtime.RunOptions{
		Name:   command.Get(i, "name", vps.ParseName),
		Remove: i.Is("rm"),
		Detach: i.Is("detach"),
		Wait:   command.Get(i, "wait", values.Wait),
		Exec:   readExecOptions(i),
	}
	if o.Clone = runClone(i); o.Clone == nil {
		o.CreateOptions = options.CreateOptions(i)
	}
	o.Exec.Args, o.Exec.Env = i.Words, command.GetMany(i, "env", values.Env)
	i.NotBoth("detach", "rm")
	i.NotBoth("protect", "rm")
	if i.Err == nil && o.Detach && len(i.Words) > 0 {
		i.Err = command.UsageError("--detach takes no COMMAND; run one with croft exec afterwards")
	}
	var name vps.Name
	o.Named = func(made vps.Name) {
		if name = made; o.Name == "" && !o.Remove && !o.Detach {
			i.Screen.Line(string(made) + ": created; it is kept when the command ends (--rm destroys it then)")
		}
	}
	o.Inside = options.InsideOf(i, false)
	m, err := i.Manager()
	if err != nil {
		return err
	}
	if o.Clone != nil {
		err = cloneInside(i, o.Clone, o.Inside)
	} else {
		err = readContents(i, &o.CreateOptions)
	}
	if err != nil {
		return err
	}
	code, err := m.Run(ctx, o)
	if err == nil && o.Detach {
		return i.Print(string(name) + "\n")
	}
	who := cmp.Or(string(o.Name), string(name), i.Text("clone"), o.Template)
	return command.Cannot("run", who, command.Exited(code, err))
}

func enterVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "enter", Group: command.GroupInside, Args: "NAME", Words: command.RunningNames,
		Summary:  "open a shell in a VPS",
		Examples: []string{"croft enter web", "croft enter --user www-data web"},
		About:    `The exit status is that of the shell; see "croft help exec".`,
		Options: []cmdline.Option{
			{Name: "user", Short: "u", Placeholder: "USER", Usage: "user of the shell, a name or number inside (default: root)"},
			loginOption(),
		},
		Aliases:      []string{"shell"},
		Synonyms:     []string{"ssh", "login", "sh"},
		StatusInside: true, Signals: cmdline.PassOn,
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := runtime.ExecOptions{User: command.Get(i, "user", values.User), Login: i.Is("login"), Stdio: i.Stdio}
			return command.ForOne(ctx, i, "enter", func(ctx context.Context, m command.Manager, name vps.Name) error {
				return command.Exited(m.Enter(ctx, name, o))
			})
		}),
	}
}

func consoleVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "console", Group: command.GroupInside, Args: "NAME", Words: command.ActiveNames,
		Summary:  "attach to the console of a VPS",
		Examples: []string{"croft console web"},
		About: `On a terminal, Ctrl-] detaches; so does "Esc ." at the beginning of a line.
Without a terminal, stdin is sent to the console and the command ends when the
VPS stops.

A login at the console needs a password. In the templates that croft builds,
root has none. To set one, run "croft enter NAME" and then passwd, or for a
Debian VPS:

  echo root:SECRET | croft exec NAME -- chpasswd

"croft enter" needs no password.`,
		Aliases: []string{"attach"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			return command.ForOne(ctx, i, "attach to the console", func(ctx context.Context, m command.Manager, name vps.Name) error {
				return m.Console(ctx, name, i.Stdio)
			})
		}),
	}
}

func mountVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "mount", Group: command.GroupInside, Args: "NAME... | --all", Words: command.StoppedNames,
		Summary:  "mount root filesystems of stopped VPSs, and print their paths",
		Examples: []string{"croft mount web"},
		About: `Gives access to the files of a VPS from the host. The parent directory is an OCI
bundle then, which any OCI runtime can run. A mounted VPS cannot start. Mounting
a mounted VPS succeeds.

File owners are shown as host ids: host id = id inside + ids.first of "croft
inspect".`,
		Options: []cmdline.Option{command.AllOption("mount")},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			return command.ForEach(ctx, i, "mount", func(ctx context.Context, m command.Manager, name vps.Name) error {
				dir, err := m.Mount(ctx, name)
				if err != nil {
					return err
				}
				return i.Print(dir + "\n")
			})
		}),
	}
}

func umountVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "umount", Group: command.GroupInside, Args: "NAME... | --all", Words: command.StoppedNames,
		Summary:  "unmount root filesystems that croft mount mounted",
		Examples: []string{"croft umount web", "croft umount --all"},
		About: `Unmounting a VPS that is not mounted succeeds. A root filesystem with open files
stays mounted, and the command fails.`,
		Options:  []cmdline.Option{command.AllOption("unmount")},
		Synonyms: []string{"unmount"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			return command.ForEach(ctx, i, "unmount", func(ctx context.Context, m command.Manager, name vps.Name) error {
				return m.Umount(ctx, name)
			})
		}),
	}
}
