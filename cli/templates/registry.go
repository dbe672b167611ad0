package templates

import (
	"context"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/values"
	"croft/internal/fail"
	"croft/internal/sizes"
	"croft/runtime"
)

// InsecureOption is --insecure for verbs that use a registry.
func InsecureOption() cmdline.Option {
	return cmdline.Option{Name: "insecure", Usage: "allow plain HTTP and unverified TLS certificates"}
}

// MaxSizeOption is --max-size for verbs that accept files of others.
func MaxSizeOption() cmdline.Option {
	return cmdline.Option{Name: "max-size", Placeholder: "SIZE", Usage: "limit of the unpacked size: 500G, unlimited (default: 64G)"}
}

// replaceOption is --replace for verbs that name a template.
func replaceOption() cmdline.Option {
	return cmdline.Option{Name: "replace", Usage: "replace the template NAME; existing VPSs keep the old one"}
}

func architectureOption() cmdline.Option {
	return cmdline.Option{Name: "architecture", Placeholder: "NAME", Usage: "architecture, for example amd64 or arm64 (default: the host's)"}
}

func templatePullVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "pull", Args: "REF [NAME]",
		Summary: "create a template from an image of a registry or an image server",
		Examples: []string{
			"croft template pull images:alpine/3.22",
			"croft template pull docker.io/library/debian:12",
			"croft template pull ghcr.io/example/web:1.2 web",
		},
		About: `REF is SERVER:IMAGE for an image server, whose images "croft template search" lists,
or [HOST/]REPOSITORY[:TAG][@DIGEST] for a registry; without a host it is docker.io.
The template is called NAME, or after the image, for example alpine-3.22 for
images:alpine/3.22 and debian-12 for docker.io/library/debian:12. Prints the new
template as NAME@DIGEST. Pulling again updates the template; existing VPSs keep the
old image.

If /etc/croft/policy.yaml exists, it decides which images croft accepts, for example by
their signatures. An interrupted pull is resumed by the next one. Credentials are those of docker
login or podman login.`,
		Options: []cmdline.Option{
			{Name: "replace", Usage: "replace a template NAME that has another origin; existing VPSs keep the old one"},
			architectureOption(), InsecureOption(), MaxSizeOption(), remoteOption(),
		},
		Synonyms: []string{"fetch", "download"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			o := runtime.TemplatePull{
				Replace: i.Is("replace"), Insecure: i.Is("insecure"),
				Architecture: command.Get(i, "architecture", values.Word), MaxSize: command.Get(i, "max-size", ParseMaxSize),
				Remotes: command.GetMany(i, "remote", parseRemote),
			}
			switch len(i.Words) {
			case 1:
			case 2:
				if o.Name = i.Words[1]; o.Name == "" {
					return command.UsageError("a template's name is empty")
				}
				if _, err := values.Template(o.Name); err != nil {
					return command.UsageError("%w", err)
				}
			default:
				return command.UsageError("template pull takes a REF and, optionally, a NAME")
			}
			at := i.Words[0]
			if at == "" {
				return command.UsageError("a reference is empty")
			}
			m, err := i.Manager()
			if err != nil {
				return err
			}
			image, err := m.PullTemplate(ctx, at, o)
			if err != nil {
				return command.Cannot("pull", at, err)
			}
			return i.Print(image.Name + "@" + image.Digest + "\n")
		}),
	}
}

func templatePushVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "push", Args: "NAME REF", Words: command.TemplateNames,
		Summary: "push a template to a registry",
		Examples: []string{
			"croft template push web ghcr.io/example/web:1.2",
			"croft template push --sign-key cosign.key web ghcr.io/example/web:1.2",
		},
		About: `REF is [HOST/]REPOSITORY[:TAG]. Layers that the registry already has are not sent
again. Credentials are those of docker login or podman login.

With --sign-key the image gets a signature as cosign makes it, with the name REF. With a key
of OpenPGP, as gpg --export-secret-keys writes it, the signature is one of GnuPG, and croft
writes it into the directory that /etc/containers/registries.d names. The password of the
key is read from COSIGN_PASSWORD, or else from the terminal. The public key in
/etc/croft/policy.yaml lets only signed images in.`,
		Options:  []cmdline.Option{SignKeyOption(), InsecureOption()},
		Synonyms: []string{"upload"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			if len(i.Words) != 2 || i.Words[1] == "" {
				return command.UsageError("template push takes a NAME and a REF")
			}
			at, key := i.Words[1], SignKey(i)
			i.Words = i.Words[:1]
			return oneTemplate(i, "push", func(m command.Manager, name string) error {
				return m.PushTemplate(ctx, name, at, runtime.TemplatePush{Insecure: i.Is("insecure"), SignKey: key})
			})
		}),
	}
}

func templatePruneVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "prune", Harmful: true,
		Summary:  "remove unused template data",
		Examples: []string{"croft template prune"},
		About: `Removes replaced templates that no VPS uses, the downloads of interrupted pulls, and
the kept catalogues of image servers.`,
		Synonyms: []string{"clean", "gc"},
		Run: a.Run(func(ctx context.Context, i *command.Invocation) error {
			if err := i.None(); err != nil {
				return err
			}
			m, err := i.Manager()
			if err != nil {
				return err
			}
			return m.PruneTemplates(ctx)
		}),
	}
}

// ParseMaxSize reads how much an image may unpack to.
func ParseMaxSize(s string) (int64, error) {
	if s == "unlimited" {
		return runtime.Unlimited, nil
	}
	n, err := sizes.Parse(s)
	if err == nil && n <= 0 {
		err = fail.New(fail.Usage, "%q lets nothing in", s)
	}
	return n, err
}
