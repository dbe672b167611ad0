package options

import (
	"fmt"
	"slices"

	"golang.org/x/term"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/values"
	"croft/internal/vps"
)

// insideOptions are the options of create, run and set for the own files of a VPS.
func insideOptions() []cmdline.Option {
	return []cmdline.Option{
		{Name: "ssh-key", Placeholder: "FILE", Many: true, Kind: cmdline.Files, Usage: "public SSH keys with which root, or the user of --user, may log in: a file, or - for standard input; may be repeated"},
		{Name: "password-stdin", Usage: "read the password of root, or of the user of --user, from standard input"},
		{Name: "password-file", Placeholder: "FILE", Kind: cmdline.Files, Usage: "read the password of root, or of the user of --user, from a file"},
		{Name: "timezone", Placeholder: "ZONE", Usage: "time zone, such as Europe/Berlin"},
		{Name: "locale", Placeholder: "LOCALE", Usage: "language and character set, such as de_DE.UTF-8"},
		{Name: "first-boot", Placeholder: "SCRIPT", Kind: cmdline.Files, Usage: "script that runs once as root inside, after the next boot: a file, or - for standard input"},
		{Name: "user-data", Placeholder: "FILE", Kind: cmdline.Files, Usage: "data for cloud-init inside: a file, or - for standard input"},
	}
}

// LoginUserOption is an option of create and set. With run, --user is who runs the
// command.
func LoginUserOption() cmdline.Option {
	return cmdline.Option{Name: "user", Placeholder: "NAME[:GROUP,...]", Usage: "create the user NAME if it is missing, and make it a member of the groups"}
}

// AccessAbout is the help of verbs with these options.
const AccessAbout = `--ssh-key, --password-stdin, --password-file and --user write accounts into the VPS's
own files. They belong to the VPS afterwards: croft saves no password. A password is
one line; on a terminal croft asks for it. A key is added to authorized_keys of the
user. For a login by SSH the VPS needs an SSH server.

--timezone, --locale and --user-data write files inside, too. cloud-init reads the
user data at its next start.`

// InsideOf reads the options without looking at files. withUser says that --user is
// the one of create and set.
func InsideOf(i *command.Invocation, withUser bool) vps.Inside {
	var what vps.Inside
	if withUser {
		what.Access = command.Get(i, "user", values.Login)
	}
	what.TimeZone, what.Locale = command.Get(i, "timezone", values.TimeZone), command.Get(i, "locale", values.Locale)
	i.NotBoth("password-stdin", "password-file")
	fromStdin := 0
	for _, name := range append(command.GetMany(i, "ssh-key", values.File), command.Get(i, "password-file", values.File), command.Get(i, "user-data", values.File), command.Get(i, "first-boot", values.File)) {
		if name == "-" {
			fromStdin++
		}
	}
	for _, name := range credentialFiles(i) {
		if name == "-" {
			fromStdin++
		}
	}
	if _, ok := i.Verb.Option("file"); ok && command.Get(i, "file", values.File) == "-" {
		fromStdin++
	}
	if i.Is("password-stdin") {
		fromStdin++
	}
	if fromStdin > 1 && i.Err == nil {
		i.Err = command.UsageError("two options read standard input, which can be read once")
	}
	return what
}

// ChangesInside reports whether set has one of the options for the files of a VPS.
func ChangesInside(i *command.Invocation) bool {
	return i.Is("password-stdin") || slices.ContainsFunc([]string{"user", "ssh-key", "password-file", "timezone", "locale", "user-data", "credential", "first-boot"}, i.Has)
}

// InsideEdits returns the edits of set for the files and the credentials of a VPS. what
// are those of the options that insideOf has read.
func InsideEdits(i *command.Invocation, what vps.Inside) ([]vps.Edit, error) {
	if err := ReadInside(i, &what); err != nil {
		return nil, err
	}
	edits, err := credentialEdits(i)
	if err != nil {
		return nil, err
	}
	script, err := ReadFirstBoot(i)
	if err != nil {
		return nil, err
	}
	if i.Has("first-boot") {
		edits = append(edits, vps.SetFirstBoot{Script: script})
	}
	if what.Any() {
		edits = append(edits, vps.ChangeInside{Inside: what})
	}
	return edits, nil
}

// ReadInside reads the files and the standard input that the options name.
func ReadInside(i *command.Invocation, what *vps.Inside) error {
	for _, name := range command.GetMany(i, "ssh-key", values.File) {
		text, err := readInput(i, "--ssh-key", name)
		if err != nil {
			return err
		}
		keys, err := values.SSHKeys(text)
		if err != nil {
			return command.UsageError("--ssh-key %s: %w", name, err)
		}
		what.Access.Keys = append(what.Access.Keys, keys...)
	}
	if name := command.Get(i, "user-data", values.File); name != "" {
		text, err := readInput(i, "--user-data", name)
		if err != nil {
			return err
		}
		if err := vps.CheckUserData(text); err != nil {
			return command.UsageError("--user-data %s: %w", name, err)
		}
		what.UserData = text
	}
	return readPassword(i, what)
}

// readPassword reads the password, if an option asks for one.
func readPassword(i *command.Invocation, what *vps.Inside) error {
	option, name := "--password-stdin", "-"
	switch {
	case i.Has("password-file"):
		option, name = "--password-file", command.Get(i, "password-file", values.File)
	case !i.Is("password-stdin"):
		return i.Err
	}
	read := func() ([]byte, error) { return readInput(i, option, name) }
	if name == "-" && term.IsTerminal(int(i.Stdio.In.Fd())) {
		read = func() ([]byte, error) { return askPassword(i, what.Access.Name()) }
	}
	text, err := read()
	if err != nil {
		return err
	}
	what.Access.Hash, err = values.Password(text)
	if err != nil {
		return command.UsageError("%s: %w", option, err)
	}
	return i.Err
}

// askPassword reads a password from the terminal twice.
func askPassword(i *command.Invocation, who string) ([]byte, error) {
	var typed [2][]byte
	for n, prompt := range []string{"New password of " + who + ": ", "Again: "} {
		fmt.Fprint(i.Stdio.Err, prompt)
		text, err := term.ReadPassword(int(i.Stdio.In.Fd()))
		fmt.Fprintln(i.Stdio.Err)
		if err != nil {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		typed[n] = text
	}
	if string(typed[0]) != string(typed[1]) {
		return nil, command.UsageError("the two passwords differ")
	}
	return typed[0], nil
}
