//go:build integration

package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// templateLayers returns the layers of a template, the lowest first, and its digest.
func templateLayers(t *testing.T, template string) (layers []string, digest string) {
	t.Helper()
	var im struct {
		Digest string
		Layers []string
	}
	if err := json.Unmarshal([]byte(must(t, "template", "inspect", template)), &im); err != nil {
		t.Fatal(err)
	}
	return im.Layers, im.Digest
}

// An application template shares the layers of its base, is built once, and its VPSs have
// the packages, files, users, services, variables and environment of its recipe.
func TestApplicationTemplate(t *testing.T) {
	hostAsBefore(t)
	needs(t, "debian-12")
	needs(t, "debian-12-layer")
	base, _ := templateLayers(t, "debian-12")
	below, _ := templateLayers(t, "debian-12-layer")
	if len(below) != len(base)+1 || !slices.Equal(below[:len(base)], base) {
		t.Errorf("the layers are %v, and those of the base %v", below, base)
	}
	app := name(t, "shop")
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("site/css/style", "red\n")
	write("shop.yaml", `
from: debian-12-layer
variables:
  word: hello
  count:
environment: {SHOP: "{{word}}"}
users:
  - {name: shop, uid: 4321, groups: [www-data, shopkeepers]}
files:
  - {path: /etc/shop, content: "{{word}} {{count}}\n", owner: "shop:www-data", mode: "0640"}
  - {path: /srv/site, source: site, owner: shop}
  - path: /etc/systemd/system/shop.service
    content: |
      [Service]
      Type=oneshot
      ExecStart=/bin/sh -c 'echo {{word}} >/run/shop'
      [Install]
      WantedBy=multi-user.target
services: {shop: on, e2scrub_reap: off}
scripts: {post-install: 'echo "$word $count" >/etc/shop2'}
`)
	build := func(more ...string) result {
		t.Helper()
		return try(append([]string{"template", "build", app, "--recipe", filepath.Join(dir, "shop.yaml")}, more...)...)
	}
	if r := build(); r.status != 2 || !strings.Contains(r.errOut, "variable count has no value: --set count=VALUE") {
		t.Errorf("without a value: %+v", r)
	}
	first := build("--set", "count=7")
	if first.status != 0 {
		t.Fatalf("%+v", first)
	}
	t.Cleanup(func() { try("template", "remove", "--if-exists", app) })
	layers, digest := templateLayers(t, app)
	if len(layers) != len(below)+1 || !slices.Equal(layers[:len(below)], below) {
		t.Errorf("the layers are %v, and those of the base %v", layers, below)
	}
	if r := build("--set", "count=7"); r.status != 0 || r.out != first.out || !strings.Contains(r.errOut, "is unchanged") {
		t.Errorf("the second build: %+v, and the first %+v", r, first)
	}
	if r := build("--set", "count=7", "--no-cache"); r.status != 0 || strings.Contains(r.errOut, "is unchanged") {
		t.Errorf("without the cache: %+v", r)
	}
	if _, again := templateLayers(t, app); again != digest {
		t.Errorf("the same recipe gives %s, and gave %s", again, digest)
	}
	vps := boot(t, app, "--network", "none")
	if got := sh(t, vps, `cat /etc/shop /etc/shop2 /run/shop; stat -c '%U:%G %a' /etc/shop /srv/site/css/style; id shop; tr '\0' '\n' </proc/1/environ | grep SHOP; command -v tree; ls /etc/.croft* /usr/sbin/policy-rc.d 2>/dev/null; stat -c %s /etc/resolv.conf >/dev/null && echo fine`); got != `hello 7
hello 7
hello
shop:www-data 640
shop:shop 644
uid=4321(shop) gid=4321(shop) groups=4321(shop),33(www-data),997(shopkeepers)
SHOP=hello
/usr/bin/tree
fine` {
		t.Errorf("the VPS has\n%s", got)
	}
	must(t, "destroy", "--force", vps)
}

// nginxTemplate is the cheapest application template of croft.
const nginxTemplate = "debian-13-nginx"

// The template of nginx that comes with croft shares the layers of its base, and a second build
// is a no-op. Its service answers.
func TestNginxTemplate(t *testing.T) {
	hostAsBefore(t)
	const template = nginxTemplate
	needs(t, template)
	base, _ := templateLayers(t, "debian-13")
	layers, digest := templateLayers(t, template)
	if len(layers) != len(base)+1 || !slices.Equal(layers[:len(base)], base) {
		t.Errorf("the layers are %v, and those of the base %v", layers, base)
	}
	// The tests have no network, so this build could not install anything.
	if r := try("template", "build", template); r.status != 0 || r.out != template+"@"+digest+"\n" || !strings.Contains(r.errOut, "template "+template+" is unchanged") {
		t.Error(r)
	}
	vps := boot(t, template, "--network", "none")
	if got := in(t, vps, "systemctl", "is-system-running"); got != "running" {
		t.Errorf("the system is %s", got)
	}
	const request = `exec 3<>/dev/tcp/127.0.0.1/80; printf 'GET / HTTP/1.0\r\n\r\n' >&3; cat <&3`
	if got := in(t, vps, "bash", "-c", request); !strings.HasPrefix(got, "HTTP/1.1 200 OK") || !strings.Contains(got, "Welcome to nginx!") {
		t.Errorf("nginx answers %q", got)
	}
}
