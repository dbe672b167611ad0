package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/options"
	"croft/cli/templates"
	"croft/cli/values"
	"croft/internal/fail"
	"croft/internal/sizes"
	"croft/internal/vps"
	"croft/runtime"
)

func exportVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "export", Group: command.GroupLife, Args: "NAME[@SNAPSHOT] FILE|-", Words: command.CloneSources, After: cmdline.Files,
		Summary:  "write a backup of a VPS to a file",
		Examples: []string{"croft export web /backup/web.tar", "croft export --snapshots web /backup/web.tar", "croft export web@before-upgrade - | ssh backup.example.org 'cat >web.tar'"},
		About: `The archive has the files and the settings of the VPS, or of its snapshot, and the
files of its template: "croft import" needs nothing else. It is an OCI image layout in
a tar archive, which other tools for images read too. A running VPS goes on, and stands
still for a short time, as for a snapshot. "-" is standard output.

Not in the archive are files in mounts (volumes, directories of the host, tmpfs),
memory, console logs, the values of credentials, sockets and device nodes, nor without
--snapshots the snapshots of the VPS. Only root can read the file, because the files of
the VPS have secrets. After an error there is no file.`,
		Options: []cmdline.Option{
			{Name: "snapshots", Usage: "also write the snapshots of the VPS; files that it shares with them are written once"},
			{Name: "compress", Placeholder: "KIND", Usage: "compression of the files of the VPS: zstd, gzip or none (default: zstd); those of the template stay as they are", Choices: compressions()},
			{Name: "force", Usage: "overwrite an existing file"},
		},
		Synonyms: []string{"backup", "dump", "save"},
		Run:      a.Run(export),
	}
}

func compressions() []string { return []string{"zstd", "gzip", "none"} }

func parseCompression(s string) (runtime.Compression, error) {
	if !slices.Contains(compressions(), s) {
		return "", fail.New(fail.Usage, "%q is none of %s", s, strings.Join(compressions(), " "))
	}
	return runtime.Compression(s), nil
}

// vpsOrSnapshot reads NAME or NAME@SNAPSHOT.
func vpsOrSnapshot(word string) (vps.Name, string, error) {
	text, snapshot, of := strings.Cut(word, "@")
	name, err := vps.ParseName(text)
	if err == nil && of {
		err = vps.CheckSnapshot(snapshot)
	}
	return name, snapshot, err
}

func export(ctx context.Context, i *command.Invocation) error {
	o := runtime.ExportOptions{Compress: command.Get(i, "compress", parseCompression), Snapshots: i.Is("snapshots")}
	if i.Err != nil {
		return i.Err
	}
	if len(i.Words) != 2 || i.Words[1] == "" {
		return command.UsageError("export takes a NAME, or NAME@SNAPSHOT, and a FILE, or - for standard output")
	}
	name, snapshot, err := vpsOrSnapshot(i.Words[0])
	if err != nil {
		return err
	}
	if o.Snapshot = snapshot; snapshot != "" && o.Snapshots {
		return command.UsageError("export: --snapshots, and the snapshot %s: one or the other", snapshot)
	}
	to := i.Words[1]
	if to == "-" && term.IsTerminal(int(i.Stdio.Out.Fd())) {
		return command.UsageError("export: standard output is a terminal, and an archive is not for people")
	}
	if to != "-" {
		if err := notDirectory(to); err != nil {
			return err
		}
	}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	var done runtime.BackupResult
	write := func(w io.Writer) (err error) {
		done, err = m.Export(ctx, name, w, o)
		return err
	}
	if to == "-" {
		err = write(i.Stdio.Out)
	} else {
		err = templates.IntoFile(to, 0o600, i.Is("force"), func(f *os.File) error { return write(f) })
	}
	tellBackup(i, name, done)
	return command.Cannot("export", i.Words[0], err)
}

// tellBackup says on stderr what a backup has done to the VPS, and what it does not have.
func tellBackup(i *command.Invocation, name vps.Name, r runtime.BackupResult) {
	if r.Pause > 0 {
		i.Screen.Line(fmt.Sprintf("%s: it stood still for %d ms", name, r.Pause.Milliseconds()))
	}
	var without []string
	for _, left := range []struct {
		n    int
		what string
	}{{r.Sockets, "socket"}, {r.Devices, "device node"}} {
		switch {
		case left.n == 1:
			without = append(without, "1 "+left.what)
		case left.n > 1:
			without = append(without, fmt.Sprintf("%d %ss", left.n, left.what))
		}
	}
	if len(without) > 0 {
		i.Screen.Line(fmt.Sprintf("%s: not in the backup: %s", name, strings.Join(without, ", ")))
	}
}

func pushVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "push", Group: command.GroupLife, Args: "NAME[@SNAPSHOT] REF", Words: command.CloneSources,
		Summary:  "write a backup of a VPS to a registry",
		Examples: []string{"croft push web registry.example/backups/web:2026-03-01", "croft push web@before-upgrade registry.example/backups/web:old"},
		About: `The backup is an image with the same content as that of "croft export"; "croft create
--from REF NAME" restores it. REF is [HOST/]REPOSITORY[:TAG]. A running VPS goes on, and
stands still for a short time, as for a snapshot. Prints REF with the digest.

Layers that the registry has are not sent again: those of the template, and those of
earlier backups. For that the files of a stopped VPS become a layer with each push, so
that the next one sends only files that have changed since. Of a running VPS the files
are sent that have changed since its last backup or snapshot while it was stopped.

Who can read the repository can read the files of the VPS. Credentials are those of
docker login or podman login. After an error REF is unchanged. --sign-key signs the backup
as for "croft template push".`,
		Options: []cmdline.Option{
			{Name: "compress", Placeholder: "KIND", Usage: "compression of the files of the VPS: zstd, gzip or none (default: zstd); those of the template stay as they are", Choices: compressions()},
			templates.SignKeyOption(), templates.InsecureOption(),
		},
		Synonyms: []string{"upload"},
		Run:      a.Run(push),
	}
}

func push(ctx context.Context, i *command.Invocation) error {
	o := runtime.PushOptions{Insecure: i.Is("insecure"), SignKey: templates.SignKey(i)}
	o.Compress = command.Get(i, "compress", parseCompression)
	if i.Err != nil {
		return i.Err
	}
	if len(i.Words) != 2 || i.Words[1] == "" {
		return command.UsageError("push takes a NAME, or NAME@SNAPSHOT, and a REF")
	}
	name, snapshot, err := vpsOrSnapshot(i.Words[0])
	if err != nil {
		return err
	}
	o.Snapshot = snapshot
	m, err := i.Manager()
	if err != nil {
		return err
	}
	done, err := m.Push(ctx, name, i.Words[1], o)
	tellBackup(i, name, done)
	if err != nil {
		return command.Cannot("push", i.Words[0], err)
	}
	i.Screen.Line(fmt.Sprintf("%s: sent %s, and the registry had %s already", name, sizes.Text(done.Sent), sizes.Text(done.Shared)))
	return i.Print(done.Reference + "\n")
}

func importVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "import", Group: command.GroupLife, Args: "FILE|- [NAME]", Words: cmdline.Files,
		Summary:  "create a VPS from a backup",
		Examples: []string{"croft import /backup/web.tar", "croft import /backup/web.tar web-2 --network none"},
		About: `Reads what "croft export" has written; "-" is standard input. The VPS gets the name in
the archive, or NAME, and is stopped. It has its files, settings and identity
(machine-id, ssh host keys, and its UUID if no VPS here has that), and the snapshots that
are in the archive. It has its addresses, MAC addresses and published ports as far as
they are free here; otherwise it gets free addresses, with a warning. Its user ids are
new. Layers that the templates here have are shared. The options change its settings, as
"croft set" does. Prints the name.

The digests in the archive are checked. If it is cut or changed, nothing is created. The
settings can mount directories of this host and take away the isolation: import only
archives that you trust.`,
		Options: append([]cmdline.Option{
			{Name: "network", Placeholder: "OLD=NEW|none", Many: true, Usage: "use the network NEW of this host for OLD of the archive; none: the VPS gets no interfaces; may be repeated"},
			{Name: "ip", Placeholder: "[INTERFACE:]ADDRESS", Many: true, Usage: "address instead of those in the archive (default: of the first interface); may be repeated"},
		}, options.ChangeOptions()...),
		Synonyms: []string{"recover", "load"},
		Run:      a.Run(importVPS),
	}
}

// A replacement is a network of this host instead of one in an archive. The zero value
// is none.
type replacement struct{ old, new string }

func parseReplacement(s string) (replacement, error) {
	if s == runtime.NoNetwork {
		return replacement{}, nil
	}
	old, now, ok := strings.Cut(s, "=")
	for _, name := range []string{old, now} {
		if _, err := vps.ParseName(name); err != nil || !ok {
			return replacement{}, fail.New(fail.Usage, "invalid networks %q (for example croft0=lan, or none)", s)
		}
	}
	return replacement{old, now}, nil
}

// replacements reads --network OLD=NEW and --network none.
func replacements(i *command.Invocation) (networks map[string]string, none bool, err error) {
	all := command.GetMany(i, "network", parseReplacement)
	if i.Err != nil {
		return nil, false, i.Err
	}
	for _, r := range all {
		if r == (replacement{}) {
			none = true
			continue
		}
		if networks[r.old] != "" {
			return nil, false, command.UsageError("--network: %s is given twice", r.old)
		}
		if networks == nil {
			networks = map[string]string{}
		}
		networks[r.old] = r.new
	}
	if none && len(all) > 1 {
		return nil, false, command.UsageError("--network: none, and others")
	}
	return networks, none, nil
}

// importOptions reads the options of verbs that restore a backup.
func importOptions(i *command.Invocation) (o runtime.ImportOptions, err error) {
	if o.Networks, o.NoNetwork, err = replacements(i); err != nil {
		return o, err
	}
	o.Addresses = options.NewAddresses(i)
	switch {
	case i.Err != nil:
		return o, i.Err
	case o.NoNetwork && len(o.Addresses) > 0:
		return o, command.UsageError("--ip: not with --network none, which has no interface")
	}
	return o, nil
}

// createFrom is create with --from: it restores a backup from a registry.
func createFrom(ctx context.Context, i *command.Invocation) error {
	ref := command.Get(i, "from", values.Reference)
	for _, o := range options.SettingOptions() {
		if i.Has(o.Name) && o.Name != "network" && o.Name != "ip" && !changes(o) {
			i.NotBoth(o.Name, "from")
		}
	}
	edits, what := options.SetEdits(i), options.InsideOf(i, true)
	o, err := importOptions(i)
	if err != nil {
		return err
	}
	o.IfMissing, o.Insecure = i.Is("if-missing"), i.Is("insecure")
	return command.ForOne(ctx, i, "create", func(ctx context.Context, m command.Manager, name vps.Name) error {
		inside, err := options.InsideEdits(i, what)
		if err != nil {
			return err
		}
		o.Name, o.Edits = name, slices.Concat(edits, inside)
		if _, err := m.CreateFrom(ctx, ref, o); err != nil {
			return err
		}
		return i.Print(string(name) + "\n")
	})
}

func importVPS(ctx context.Context, i *command.Invocation) error {
	edits, what := options.SetEdits(i), options.InsideOf(i, true)
	o, err := importOptions(i)
	if err != nil {
		return err
	}
	if len(i.Words) < 1 || len(i.Words) > 2 || i.Words[0] == "" {
		return command.UsageError("import takes a FILE, or - for standard input, and possibly a NAME")
	}
	if len(i.Words) == 2 {
		if o.Name, err = vps.ParseName(i.Words[1]); err != nil {
			return err
		}
	}
	if i.Words[0] == "-" && i.Is("password-stdin") {
		return command.UsageError("the backup and --password-stdin read standard input, which can be read once")
	}
	inside, err := options.InsideEdits(i, what)
	if err != nil {
		return err
	}
	o.Edits = slices.Concat(edits, inside)
	return importFile(ctx, i, i.Words[0], o)
}

func importFile(ctx context.Context, i *command.Invocation, file string, o runtime.ImportOptions) error {
	in := i.Stdio.In
	if file == "-" && term.IsTerminal(int(in.Fd())) {
		return command.UsageError("import: standard input is a terminal")
	}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	if file != "-" {
		if err := notDirectory(file); err != nil {
			return err
		}
		f, err := os.Open(file)
		if err != nil {
			return fail.Open(file, err)
		}
		defer f.Close()
		in, o.File = f, file
	}
	info, err := m.Import(ctx, in, o)
	if err != nil {
		return command.Cannot("import", file, err)
	}
	return i.Print(string(info.Name) + "\n")
}

// notDirectory refuses a directory as an archive.
func notDirectory(file string) error {
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return fail.New(fail.Usage, "%s is a directory, and a backup is one file", file)
	}
	return nil
}
