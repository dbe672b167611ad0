package cli

import (
	"context"

	"croft/internal/fail"
	"croft/runtime"
)

// insecureOption is --insecure of the verbs that talk to a registry.
func insecureOption() option {
	return option{name: "insecure", usage: "allow plain HTTP and unverified TLS certificates"}
}

// maxSizeOption is --max-size of the verbs that take what others have made.
func maxSizeOption() option {
	return option{name: "max-size", placeholder: "SIZE", usage: "limit of the unpacked size: 500G, unlimited (default: 64G)"}
}

// replaceOption is --replace of the verbs that give a template a name.
func replaceOption() option {
	return option{name: "replace", usage: "replace the template NAME; existing VPSs keep the old one"}
}

func architectureOption() option {
	return option{name: "architecture", placeholder: "NAME", usage: "architecture, for example amd64 or arm64 (default: the host's)"}
}

func templatePullVerb() *verb {
	return &verb{
		name: "pull", args: "REF [NAME]",
		summary: "create a template from an image in a registry",
		examples: []string{
			"croft template pull docker.io/library/debian:12",
			"croft template pull ghcr.io/example/web:1.2 web",
		},
		about: `REF is [HOST/]REPOSITORY[:TAG][@DIGEST]; without a host it is docker.io. The
template is called NAME, or after the repository and the tag, for example
debian-12 for docker.io/library/debian:12. Prints the new template as
NAME@DIGEST. Pulling again updates the template; existing VPSs keep the old image.

An interrupted pull is resumed by the next one. Credentials are those of docker
login or podman login.`,
		options: []option{
			{name: "replace", usage: "replace a template NAME that has another origin; existing VPSs keep the old one"},
			architectureOption(), insecureOption(), maxSizeOption(),
		},
		synonyms: []string{"fetch", "download"},
		run: func(ctx context.Context, i *invocation) error {
			o := runtime.TemplatePull{
				Replace: i.flags.Bool("replace"), Insecure: i.flags.Bool("insecure"),
				Architecture: get(i, "architecture", parseWord), MaxSize: get(i, "max-size", parseMaxSize),
			}
			switch len(i.words) {
			case 1:
			case 2:
				if o.Name = i.words[1]; o.Name == "" {
					return usageError("a template's name is empty")
				}
				if _, err := parseTemplate(o.Name); err != nil {
					return usageError("%w", err)
				}
			default:
				return usageError("template pull takes a REF and, optionally, a NAME")
			}
			at := i.words[0]
			if at == "" {
				return usageError("a reference is empty")
			}
			m, err := i.manager()
			if err != nil {
				return err
			}
			image, err := m.PullTemplate(ctx, at, o)
			if err != nil {
				return cannot("pull", at, err)
			}
			return i.print(image.Name + "@" + image.Digest + "\n")
		},
	}
}

func templatePushVerb() *verb {
	return &verb{
		name: "push", args: "NAME REF", words: templateNames,
		summary:  "push a template to a registry",
		examples: []string{"croft template push web ghcr.io/example/web:1.2"},
		about: `REF is [HOST/]REPOSITORY[:TAG]. Layers that the registry already has are not sent
again. Credentials are those of docker login or podman login.`,
		options:  []option{insecureOption()},
		synonyms: []string{"upload"},
		run: func(ctx context.Context, i *invocation) error {
			if len(i.words) != 2 || i.words[1] == "" {
				return usageError("template push takes a NAME and a REF")
			}
			at := i.words[1]
			i.words = i.words[:1]
			return oneTemplate(i, "push", func(m Manager, name string) error {
				return m.PushTemplate(ctx, name, at, runtime.TemplatePush{Insecure: i.flags.Bool("insecure")})
			})
		},
	}
}

func templatePruneVerb() *verb {
	return &verb{
		name:     "prune",
		summary:  "remove unused template data",
		examples: []string{"croft template prune"},
		about: `Removes replaced templates that no VPS uses, and the downloads of interrupted
pulls.`,
		synonyms: []string{"clean", "gc"},
		run: func(ctx context.Context, i *invocation) error {
			if err := i.none(); err != nil {
				return err
			}
			m, err := i.manager()
			if err != nil {
				return err
			}
			return m.PruneTemplates(ctx)
		},
	}
}

// parseMaxSize reads how much an image may unpack to.
func parseMaxSize(s string) (int64, error) {
	if s == "unlimited" {
		return runtime.Unlimited, nil
	}
	n, err := parseSize(s)
	if err == nil && n <= 0 {
		err = fail.New(fail.Usage, "%q lets nothing in", s)
	}
	return n, err
}
