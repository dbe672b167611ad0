package cli

import (
	"bytes"
	"context"
	"slices"

	"golang.org/x/term"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/options"
	"croft/cli/settings"
	"croft/cli/templates"
	"croft/cli/values"
	"croft/internal/vps"
	"croft/runtime"
)

func adoptVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "adopt", Group: command.GroupLife, Args: "SOURCE|- [NAME]", Words: cmdline.Files,
		Summary: "create a VPS from a container of another tool",
		Examples: []string{
			"croft adopt --from lxc /var/lib/lxc/web --dry-run",
			"croft adopt vzdump-lxc-101-2026_01_05-10_00_00.tar.zst web --network none",
			"docker export web | croft adopt --from docker --config web.json - web",
		},
		About: `Reads the configuration and the files of a container, and creates a stopped VPS with the
same limits, addresses, ports, mounts and other settings, as far as croft has them. It
prints the name, and on standard error what the VPS does not get and why. With --dry-run
it only prints the settings, and what the VPS would not get.

The container stays as it is; croft only reads. Stop it first: croft refuses one that
clearly runs, and two systems with the same addresses disturb each other.

KIND and SOURCE are:

  vz       a CTID.conf of OpenVZ, its private area, or an archive of vzdump
  lxc      the directory of a container, its config, or a tar of that directory
  incus    an archive of "incus export" or "lxc export", not an optimized one
  pct      an archive of vzdump of Proxmox, or a CTID.conf with --rootfs
  nspawn   a machine's directory or tar, or its .nspawn file
  docker   a tar of "docker export"; --config has the output of "docker inspect"

"-" is an archive on standard input. Without --from the files tell the tool: an archive
with a configuration, a directory of LXC or Incus, a .nspawn file. Archives can be
compressed by gzip, bzip2, xz or zstd. Files that are shifted to ids of the host are
shifted back.

The options for settings replace those of the container. The VPS keeps its identity
(--fit keep-identity): machine-id and ssh host keys. The settings can mount directories
of this host: adopt only what you trust, and look at --dry-run.`,
		Options: slices.Concat([]cmdline.Option{
			{Name: "from", Placeholder: "KIND", Usage: "the tool: vz, lxc, incus, pct, nspawn or docker (default: the files tell)", Choices: foreignKinds()},
			{Name: "config", Placeholder: "FILE", Kind: cmdline.Files, Usage: "configuration of the container; SOURCE then has only its files"},
			{Name: "rootfs", Placeholder: "DIR", Kind: cmdline.Files, Usage: "directory with its files (default: SOURCE, or the one in the configuration)"},
			{Name: "dry-run", Usage: "create nothing, and print the settings"},
			templates.MaxSizeOption(),
		}, adoptSettings(), []cmdline.Option{options.LoginUserOption()}),
		Synonyms: []string{"convert-from"},
		Run:      a.Run(adopt),
	}
}

func foreignKinds() []string {
	var all []string
	for _, k := range runtime.ForeignKinds() {
		all = append(all, string(k))
	}
	return all
}

// adoptSettings are the options for settings, without the template.
func adoptSettings() []cmdline.Option {
	return slices.DeleteFunc(options.SettingOptions(), func(o cmdline.Option) bool { return o.Name == "template" })
}

func adopt(ctx context.Context, i *command.Invocation) error {
	o := runtime.ForeignOptions{
		Kind:   command.Get(i, "from", runtime.ParseForeignKind),
		Config: command.Get(i, "config", values.File), Rootfs: command.Get(i, "rootfs", values.File),
		Stdin: i.Stdio.In,
	}
	max := command.Get(i, "max-size", templates.ParseMaxSize)
	inside := options.InsideOf(i, true)
	typed, err := typedSettings(i)
	if err != nil {
		return err
	}
	o.Networks = typed.Networks
	if len(i.Words) < 1 || len(i.Words) > 2 || i.Words[0] == "" {
		return command.UsageError("adopt takes a SOURCE, or - for standard input, and possibly a NAME")
	}
	o.Path = i.Words[0]
	if len(i.Words) == 2 {
		if o.Name, err = vps.ParseName(i.Words[1]); err != nil {
			return err
		}
	}
	if o.Path == "-" && term.IsTerminal(int(i.Stdio.In.Fd())) {
		return command.UsageError("adopt: standard input is a terminal")
	}
	if o.Path == "-" && readsStdin(i) {
		return command.UsageError("adopt: standard input has the archive, so no option can read it")
	}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	found, err := m.OpenForeign(ctx, o)
	if err != nil {
		return command.Cannot("adopt", o.Path, err)
	}
	defer found.Close()
	return command.Cannot("adopt", o.Path, adoptFound(ctx, i, m, found, runtime.AdoptOptions{MaxSize: max}, inside))
}

// typedSettings reads the settings of the user, before the container is read.
func typedSettings(i *command.Invocation) (runtime.CreateOptions, error) {
	alone := *i.Invocation
	typed := &command.Invocation{App: i.App, Invocation: &alone, Place: i.Place}
	o := options.AdoptOptions(typed, settings.File{})
	return o, typed.Err
}

// readsStdin reports whether an option reads standard input.
func readsStdin(i *command.Invocation) bool {
	return i.Is("password-stdin") || slices.Contains(i.Texts("ssh-key"), "-") ||
		slices.ContainsFunc([]string{"password-file", "user-data", "first-boot", "config"}, func(name string) bool { return i.Text(name) == "-" })
}

// adoptFound creates the VPS, or with --dry-run prints what it gets.
func adoptFound(ctx context.Context, i *command.Invocation, m command.Manager, found *runtime.Foreign, o runtime.AdoptOptions, inside vps.Inside) error {
	o.CreateOptions = options.AdoptOptions(i, settings.File{Name: i.Words[0], Words: settings.Of(found.Settings)})
	if i.Err != nil {
		return i.Err
	}
	o.Inside = inside
	if i.Is("dry-run") {
		return i.Print(plannedText(i, found))
	}
	if err := readContents(i, &o.CreateOptions); err != nil {
		return err
	}
	if _, err := m.Adopt(ctx, found.Name, found, o); err != nil {
		return err
	}
	for _, left := range found.NotTaken {
		i.Screen.Line("not taken over: " + left.String())
	}
	return i.Print(string(found.Name) + "\n")
}

// plannedText is the settings that the VPS would get, as YAML that a profile can have, and
// what it would not get.
func plannedText(i *command.Invocation, found *runtime.Foreign) string {
	words := settings.Words{}
	for _, s := range settings.All() {
		if !i.Has(s.Key) {
			continue
		}
		words[s.Key] = i.Texts(s.Key)
		switch option, _ := i.Verb.Option(s.Key); {
		case !option.TakesValue():
			words[s.Key] = []string{"yes"}
		case s.Form == settings.Scalar:
			words[s.Key] = []string{i.Text(s.Key)}
		}
	}
	var out bytes.Buffer
	out.Write(settings.Set(words, string(found.Name)+" would get these settings:"))
	if len(found.NotTaken) > 0 {
		out.WriteString("# not taken over:\n")
	}
	for _, left := range found.NotTaken {
		out.WriteString("#   " + left.String() + "\n")
	}
	return out.String()
}
