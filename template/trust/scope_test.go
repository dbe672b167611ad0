package trust

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRegistryScopes(t *testing.T) {
	const d = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, c := range []struct{ ref, want string }{
		{"index.docker.io/library/debian:12", "docker.io/library/debian:12 docker.io/library/debian docker.io/library docker.io *.io"},
		{"r.team.example:5000/a/b:1", "r.team.example:5000/a/b:1 r.team.example:5000/a/b r.team.example:5000/a r.team.example:5000 *.team.example *.example"},
		{"localhost:5000/a:1" + d, "localhost:5000/a" + d + " localhost:5000/a localhost:5000"},
	} {
		ref, err := ParseReference(c.ref)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(RegistryScopes(ref), " "); got != c.want {
			t.Errorf("%s: %s", c.ref, got)
		}
	}
}

func TestOtherScopes(t *testing.T) {
	for _, c := range []struct {
		got  []string
		want string
	}{
		{FileScopes(OCI, "/srv/images/web", "1"), "/srv/images/web:1 /srv/images/web /srv/images /srv"},
		{FileScopes(OCIArchive, "/web.tar", ""), "/web.tar"},
		{FileScopes(DockerArchive, "/web.tar", ""), ""},
		{FileScopes(OCIArchive, "", "1"), ""},
		{ServerScopes("images.lab.example:8443/lxc/"), "images.lab.example:8443/lxc images.lab.example:8443 *.lab.example *.example"},
	} {
		if got := strings.Join(c.got, " "); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// The narrowest scope alone decides.
func TestAll(t *testing.T) {
	p, err := Parse([]byte(`
default: [{type: reject}]
transports:
  docker:
    "*.example": [{type: signedBy, keyType: GPGKeys, keyPath: /wild}]
    r.example: [{type: signedBy, keyType: GPGKeys, keyPath: /host}]
    r.example/team: [{type: signedBy, keyType: GPGKeys, keyPath: /team}]
    r.example/team/web: [{type: signedBy, keyType: GPGKeys, keyPath: /web}]
    r.example/team/web:1: [{type: insecureAcceptAnything}]
  oci:
    "": [{type: signedBy, keyType: GPGKeys, keyPath: /any}]
    /srv: [{type: insecureAcceptAnything}]
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, text := range []string{"r.example/team/web:1", "r.example/team/web:2", "r.example/team/db:1", "r.example/teams/db:1", "s.example/a:1", "r.example:5000/team/web:1", "other.test/a:1"} {
		ref, err := ParseReference(text)
		if err != nil {
			t.Fatal(err)
		}
		r := p.All(Docker, RegistryScopes(ref))[0]
		got = append(got, text+" "+string(r.Kind)+" "+strings.Join(r.Keys.Paths, ""))
	}
	for _, file := range []string{"/srv/a", "/tmp/a"} {
		r := p.All(OCI, FileScopes(OCI, file, ""))[0]
		got = append(got, file+" "+string(r.Kind)+" "+strings.Join(r.Keys.Paths, ""))
	}
	want := []string{
		"r.example/team/web:1 insecureAcceptAnything ",
		"r.example/team/web:2 signedBy /web",
		"r.example/team/db:1 signedBy /team",
		"r.example/teams/db:1 signedBy /host",
		"s.example/a:1 signedBy /wild",
		"r.example:5000/team/web:1 signedBy /wild",
		"other.test/a:1 reject ",
		"/srv/a insecureAcceptAnything ",
		"/tmp/a signedBy /any",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
