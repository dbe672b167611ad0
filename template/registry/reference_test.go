package registry

import (
	"strings"
	"testing"

	"croft/internal/fail"
)

func TestParse(t *testing.T) {
	d := "sha256:" + strings.Repeat("ab", 32)
	for _, c := range []struct{ text, want, tag, digest, base string }{
		{"debian", "index.docker.io/library/debian:latest", "latest", "", "debian"},
		{"debian:12", "index.docker.io/library/debian:12", "12", "", "debian"},
		{"docker.io/library/debian:12", "index.docker.io/library/debian:12", "12", "", "debian"},
		{"registry.example:5000/team/web", "registry.example:5000/team/web:latest", "latest", "", "web"},
		{"registry.example/team/web@" + d, "registry.example/team/web@" + d, "", d, "web"},
		{"registry.example/team/web:1@" + d, "registry.example/team/web:1@" + d, "1", d, "web"},
		{"127.0.0.1:5000/web@" + d, "127.0.0.1:5000/web@" + d, "", d, "web"},
	} {
		r, err := Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if r.String() != c.want || r.Tag() != c.tag || r.Digest().String() != c.digest || r.Base() != c.base {
			t.Errorf("%s: %s, tag %q, digest %q, base %q", c.text, r, r.Tag(), r.Digest(), r.Base())
		}
		again, err := Parse(r.String())
		if err != nil || again.String() != r.String() {
			t.Errorf("%s: parsed again it is %s, %v", r, again, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "invalid reference"},
		{"Debian:12", "invalid reference"},
		{"debian:", "invalid reference"},
		{"debian@", "invalid reference"},
		{"debian@sha256:abc", "invalid reference"},
		{"debian@sha512:" + strings.Repeat("ab", 64), "only sha256"},
		{"https://registry.example/web", "invalid reference"},
	} {
		_, err := Parse(c.text)
		if !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want %q", c.text, err, c.want)
		}
	}
}
