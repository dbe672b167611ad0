package templates

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/values"
	"croft/internal/fail"
	"croft/runtime"
)

// formats are the formats for an exported template.
func formats() []string { return []string{"oci-archive", "oci", "docker-archive", "rootfs"} }

func templateExportVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "export", Args: "NAME FILE|DIR|-", Words: command.TemplateNames, After: cmdline.Files,
		Summary: "write a template to a file or directory",
		Examples: []string{
			"croft template export web web.tar",
			"croft template export --format docker-archive web - | docker load",
		},
		About: `The formats have the names of skopeo: oci-archive is a tar archive of an OCI image
layout, oci the same as a directory (absent or empty), docker-archive what docker
load reads, and rootfs a tar archive of all files. "-" is standard output. OCI
layers are copied byte for byte, mostly with zstd; --gzip compresses them again
for tools that cannot read zstd, for example umoci before 0.5.`,
		Options: []cmdline.Option{
			{Name: "format", Short: "f", Placeholder: "FORMAT", Usage: "oci-archive, oci, docker-archive or rootfs (default: oci-archive)", Choices: formats()},
			{Name: "gzip", Usage: "compress layers with gzip; this changes the digest"},
			{Name: "force", Usage: "overwrite an existing file"},
		},
		Synonyms: []string{"save"},
		Run:      a.Run(templateExport),
	}
}

func templateExport(ctx context.Context, i *command.Invocation) error {
	o := runtime.TemplateExport{Format: command.Get(i, "format", parseFormat), Gzip: i.Is("gzip")}
	if o.Format == "" {
		o.Format = "oci-archive"
	}
	if len(i.Words) != 2 || i.Words[1] == "" {
		return command.UsageError("template export takes a NAME and a FILE or DIR, or - for standard output")
	}
	to := i.Words[1]
	i.Words = i.Words[:1]
	switch o.Format {
	case "docker-archive", "rootfs":
		if o.Gzip {
			return command.UsageError("--gzip: a %s has no compressed layers", o.Format)
		}
	case "oci":
		if to == "-" {
			return command.UsageError("--format oci writes a directory; --format oci-archive writes to standard output")
		}
		if i.Is("force") {
			return command.UsageError("--force: a directory must be absent or empty")
		}
		o.Dir = to
	}
	return oneTemplate(i, "export", func(m command.Manager, name string) error {
		switch {
		case o.Dir != "":
			defer unix.Umask(unix.Umask(i.App.Umask))
			return m.ExportTemplate(ctx, name, nil, o)
		case to == "-":
			return m.ExportTemplate(ctx, name, i.Stdio.Out, o)
		}
		return IntoFile(to, 0o666&^fs.FileMode(i.App.Umask), i.Is("force"), func(f *os.File) error { return m.ExportTemplate(ctx, name, f, o) })
	})
}

// IntoFile makes the file name, with that mode, hold what write writes, whole or
// not at all. An existing file is fail.Taken, unless force.
func IntoFile(name string, mode fs.FileMode, force bool, write func(*os.File) error) error {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return fail.New(fail.Usage, "%s is a directory", name).WithHint("--format oci writes a directory")
	} else if err == nil && !info.Mode().IsRegular() { // a device, a FIFO
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return fail.Open(name, err)
		}
		defer f.Close()
		return write(f)
	} else if err == nil && !force {
		return fail.New(fail.Taken, "%s exists", name).WithHint("--force writes over it")
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-")
	if err != nil {
		return fail.Open(name, err)
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	if err = write(f); err == nil {
		err = f.Chmod(mode)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if force {
		err = os.Rename(f.Name(), name)
	} else { // a file that another program created meanwhile stays
		err = os.Link(f.Name(), name)
	}
	if errors.Is(err, fs.ErrExist) {
		return fail.New(fail.Taken, "%s exists", name).WithHint("--force writes over it")
	}
	if err != nil {
		return fail.New(fail.Host, "%w", err)
	}
	return nil
}

func parseFormat(s string) (runtime.TemplateFormat, error) {
	for _, f := range formats() {
		if s == f {
			return runtime.TemplateFormat(f), nil
		}
	}
	return "", fail.New(fail.Usage, "%q is none of %s", s, strings.Join(formats(), " "))
}

// parseImage reads what one of several images in an archive is called.
func parseImage(s string) (string, error) {
	if strings.Trim(s, values.Letters+"0123456789._-/:@+") != "" || s == "" {
		return "", fail.New(fail.Usage, "invalid name or digest of an image %q", s)
	}
	return s, nil
}
