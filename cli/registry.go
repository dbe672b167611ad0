package cli

import (
	"context"

	"croft/internal/fail"
	"croft/runtime"
)

// insecureOption is --insecure of the verbs that talk to a registry.
func insecureOption() option {
	return option{name: "insecure", usage: "by plain HTTP too, and with certificates that nobody vouches for"}
}

// maxSizeOption is --max-size of the verbs that take what others have made.
func maxSizeOption() option {
	return option{name: "max-size", placeholder: "SIZE", usage: "how much it may unpack to: 500G, unlimited (64G)"}
}

func architectureOption() option {
	return option{name: "architecture", placeholder: "NAME", usage: "what its programs run on, as amd64 or arm64 (the host's)"}
}

func templatePullVerb() *verb {
	return &verb{
		name: "pull", args: "REF [NAME]",
		summary: "make a template of an image in a registry",
		about: `REF is [HOST/]REPOSITORY[:TAG][@DIGEST]; without a host it is docker.io. The
template is called NAME, or after the repository and the tag: debian-12 of
docker.io/library/debian:12. Printed is the template as NAME@DIGEST. Pulled
again it becomes what REF means then; VPSs of the old one keep that.

What a pull that is cut short has fetched is kept: the same again goes on from
there. Credentials are those of docker login or podman login.`,
		options: []option{
			{name: "replace", usage: "a template of that name from elsewhere becomes a former one"},
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
				return usageError("template pull: a REF, and perhaps a NAME")
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
		summary: "put a template into a registry",
		about: `REF is [HOST/]REPOSITORY[:TAG]; it means the template afterwards. What the
registry has already is not sent again. Credentials are those of docker login or
podman login.`,
		options:  []option{insecureOption()},
		synonyms: []string{"upload"},
		run: func(ctx context.Context, i *invocation) error {
			if len(i.words) != 2 || i.words[1] == "" {
				return usageError("template push: a NAME and a REF")
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
		name:    "prune",
		summary: "remove what no template and no VPS needs",
		about: `That is former templates that no VPS is made of, and what pulls that were cut
short have fetched.`,
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
	n, err := parseMemory(s)
	if err == nil && n <= 0 {
		err = fail.New(fail.Usage, "%q lets nothing in", s)
	}
	return n, err
}
