package templates

import (
	"context"
	"os"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/values"
	"croft/internal/fail"
	"croft/internal/sizes"
	"croft/runtime"
)

// remoteOption is --remote for verbs that use image servers.
func remoteOption() cmdline.Option {
	return cmdline.Option{Name: "remote", Placeholder: "NAME=URL", Many: true, Usage: "another image server, for this command alone; may be repeated"}
}

// parseRemote reads a value of --remote.
func parseRemote(text string) (runtime.ImageServer, error) {
	name, url, ok := strings.Cut(text, "=")
	if !ok {
		return runtime.ImageServer{}, fail.New(fail.Usage, "invalid image server %q (example: lab=https://images.example.org)", text)
	}
	r := runtime.ImageServer{Name: name, URL: url}
	return r, r.Check()
}

func templateSearchVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "search", Args: "[SERVER:] [WORD...]", Words: command.RemoteNames,
		Query:    true,
		Summary:  "list images of an image server",
		Examples: []string{"croft template search debian", "croft template search images: alpine cloud"},
		About: `Lists the images for this architecture in whose names all WORDs occur, or all images.
"croft template pull SERVER:NAME" creates a template from one of them. SERVER is
images if it is not given; "croft template remote" lists the servers.`,
		Options: append(command.TableOptions("print everything about each image as a JSON array"),
			cmdline.Option{Name: "architecture", Placeholder: "NAME", Usage: "architecture, for example amd64 or arm64, or all (default: the host's)"},
			remoteOption(), InsecureOption(), command.QuietOption()),
		Run: a.Run(templateSearch),
	}
}

func templateSearch(ctx context.Context, i *command.Invocation) error {
	server, words := "images", i.Words
	if len(words) > 0 {
		if name, rest, ok := strings.Cut(words[0], ":"); ok {
			server, words = name, words[1:]
			if rest != "" {
				words = append([]string{rest}, words...)
			}
		}
	}
	so := runtime.ImageSearch{
		Architecture: command.Get(i, "architecture", values.Word), Insecure: i.Is("insecure"), Remotes: command.GetMany(i, "remote", parseRemote),
	}
	o := command.OutputOf[runtime.ServerImage](i)
	if i.Err != nil {
		return i.Err
	}
	m, err := i.Manager()
	if err != nil {
		return err
	}
	found, err := m.SearchImages(ctx, server, words, so)
	if err != nil {
		return command.Cannot("search", server, err)
	}
	t := display.Table{{"IMAGE", "DISTRIBUTION", "RELEASE", "VARIANT", "ARCHITECTURE", "VERSION", "SIZE"}}
	for _, im := range found {
		t = append(t, []string{server + ":" + im.Name(), im.Distribution, im.Release, im.Variant, im.Architecture, im.Serial, sizes.Text(im.Size)})
	}
	return command.PrintAll(o, found, t, "VARIANT", "DISTRIBUTION")
}

func templateRemoteVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "remote", Args: "COMMAND",
		Summary:  "add, list and remove image servers",
		Synonyms: []string{"remotes", "server"},
		About: `An image server publishes images in the format simplestreams, as the servers of LXC,
Incus and Ubuntu do. "croft template pull SERVER:IMAGE" creates a template from one.`,
		Examples: []string{"croft template remote list"},
		Verbs:    []*cmdline.Verb{remoteAddVerb(a), remoteListVerb(a), remoteRemoveVerb(a)},
	}
}

func remoteAddVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "add", Args: "NAME URL",
		Summary:  "add an image server",
		Examples: []string{"croft template remote add lab https://images.example.org"},
		About: `URL is the directory that has streams/v1/index.json. The server is not contacted. With
--key, croft accepts its catalogue only with a valid signature by a key in FILE: in
index.sjson, or in index.json.gpg.`,
		Options: []cmdline.Option{
			{Name: "key", Placeholder: "FILE", Kind: cmdline.Files, Usage: "OpenPGP keys that sign the catalogue, armored"},
			{Name: "replace", Usage: "replace the server NAME"},
		},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			file := command.Get(i, "key", values.File)
			if i.Err != nil {
				return i.Err
			}
			if len(i.Words) != 2 {
				return command.UsageError("template remote add takes a NAME and a URL")
			}
			r := runtime.ImageServer{Name: i.Words[0], URL: i.Words[1]}
			if file != "" {
				key, err := os.ReadFile(file)
				if err != nil {
					return fail.Open(file, err)
				}
				r.Key = string(key)
			}
			if err := r.Check(); err != nil {
				return command.UsageError("%w", err)
			}
			m, err := i.Manager()
			if err != nil {
				return err
			}
			return command.Cannot("add image server", r.Name, m.AddImageServer(ctx, r, i.Is("replace")))
		}),
	}
}

func remoteListVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name:     "list",
		Query:    true,
		Summary:  "list image servers",
		Examples: []string{"croft template remote list"},
		Options:  append(command.TableOptions("print everything about each server as a JSON array"), command.QuietOption()),
		Aliases:  []string{"ls"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o, m, err := command.Listing[runtime.ImageServer](i)
			if err != nil {
				return err
			}
			all, err := m.ImageServers(ctx)
			if err != nil {
				return err
			}
			t := display.Table{{"NAME", "URL", "SIGNED"}}
			for _, r := range all {
				signed := "-"
				if r.Key != "" {
					signed = "yes"
				}
				t = append(t, []string{r.Name, r.URL, signed})
			}
			return command.PrintAll(o, all, t)
		}),
	}
}

func remoteRemoveVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "remove", Harmful: true, Args: "NAME...", Words: command.RemoteNames,
		Summary:  "remove image servers",
		Examples: []string{"croft template remote remove lab"},
		About:    `Templates that were pulled from the server stay.`,
		Aliases:  []string{"rm"},
		Synonyms: []string{"delete"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			return command.EachWord(ctx, i, "remove image server", parseRemoteName, func(m command.Manager, word string) error {
				name, _ := parseRemoteName(word) // it was checked
				return m.RemoveImageServer(ctx, name)
			})
		}),
	}
}

// parseRemoteName reads the name of an image server, with a colon after it or without.
func parseRemoteName(text string) (string, error) {
	name := strings.TrimSuffix(text, ":")
	return name, runtime.CheckImageServerName(name)
}
