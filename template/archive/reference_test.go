package archive

import (
	"testing"

	"croft/internal/fail"
)

func TestParseReference(t *testing.T) {
	for _, c := range []struct {
		text string
		want Reference
		name string
	}{
		{"./rootfs.tar.xz", Reference{Path: "./rootfs.tar.xz"}, "rootfs"},
		{"/srv/Web Shop+1.TAR.zst", Reference{Path: "/srv/Web Shop+1.TAR.zst"}, "web-shop-1.tar"},
		{"/srv/debian-12-standard_12.7-1_amd64.tar.zst", Reference{Path: "/srv/debian-12-standard_12.7-1_amd64.tar.zst"}, "debian-12-standard_12.7-1_amd64"},
		{"/srv/debian-12-genericcloud-amd64.qcow2", Reference{Path: "/srv/debian-12-genericcloud-amd64.qcow2"}, "debian-12-genericcloud-amd64"},
		{"../a:b.tgz", Reference{Path: "../a:b.tgz"}, "a-b"},
		{"/x/.tar", Reference{Path: "/x/.tar"}, "tar"},
		{"oci:layout", Reference{OCIForm, "layout", ""}, "layout"},
		{"oci:/srv/layout:web", Reference{OCIForm, "/srv/layout", "web"}, "web"},
		{"oci-archive:web.tar", Reference{OCIArchiveForm, "web.tar", ""}, "web"},
		{"docker-archive:all.tar.gz:registry.example/team/web:1.2", Reference{DockerForm, "all.tar.gz", "registry.example/team/web:1.2"}, "web-1.2"},
		{"docker-archive:all.tar:web:latest", Reference{DockerForm, "all.tar", "web:latest"}, "web"},
		{"oci:/srv/layout:sha256:0123", Reference{OCIForm, "/srv/layout", "sha256:0123"}, "layout"},
	} {
		r, ok, err := ParseReference(c.text)
		if !ok || err != nil || r != c.want || r.TemplateName() != c.name {
			t.Errorf("%s: %+v named %q, %v, %v", c.text, r, r.TemplateName(), ok, err)
		}
		if again, _, err := ParseReference(r.String()); err != nil || again != r {
			t.Errorf("%s: again it is %+v, %v", r, again, err)
		}
	}
	for _, text := range []string{"debian-12", "images:debian/13", "docker.io/library/debian:12", "rootfs.tar", "oci", "ocix:y", "dir:/x", ""} {
		if r, ok, err := ParseReference(text); ok || err != nil {
			t.Errorf("%q: %+v, %v", text, r, err)
		}
	}
	for _, text := range []string{"oci:", "oci-archive::x", "docker-archive:"} {
		if _, _, err := ParseReference(text); !fail.Is(err, fail.Usage) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
