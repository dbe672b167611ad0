//go:build integration

package integration

import (
	"context"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"croft/template/streams/imageserver"
)

// A user finds an image on a server, pulls it, and boots a VPS: busybox from a unified archive
// and Debian from squashfs.
func TestImageServer(t *testing.T) {
	needs(t, "debian-12")
	hostAsBefore(t)
	layersLeft(t)
	dir := t.TempDir()
	unified := filepath.Join(dir, "unified.tar")
	shell(t, "cd "+dir+" && mkdir -p image/rootfs && printf 'architecture: x86_64\ncreation_date: 1750251670\n' >image/metadata.yaml && "+
		world.croft+" --root "+world.root+" template export busybox - --format rootfs | tar -C image/rootfs -xf - && tar -C image -cf unified.tar . && tar -C image -cf meta.tar metadata.yaml")
	product := func(alias, version string, files map[string][]byte) imageserver.Product {
		return imageserver.Product{
			Name: strings.ReplaceAll(alias, "/", ":") + ":" + runtime.GOARCH + ":default", Aliases: alias + "/default," + alias, OS: alias, Variant: "default",
			Arch: runtime.GOARCH, Serial: version, Files: files,
		}
	}
	products := []imageserver.Product{product("busybox/1", "20260101_05:24", map[string][]byte{"incus_combined.tar.gz": read(t, unified)})}
	if _, err := exec.LookPath("sqfstar"); err == nil {
		shell(t, "cd "+dir+" && "+world.croft+" --root "+world.root+" template export debian-12 - --format rootfs | sqfstar -quiet -no-progress -comp lz4 debian.squashfs")
		products = append(products, product("debian/12", "20260102_05:24", map[string][]byte{
			"incus.tar.xz": read(t, filepath.Join(dir, "meta.tar")), "squashfs": read(t, filepath.Join(dir, "debian.squashfs")),
		}))
	} else {
		t.Log("no squashfs: ", err)
	}
	handler := &imageserver.Server{}
	handler.Serve(products...)
	server := httptest.NewServer(handler)
	defer server.Close()
	must(t, "template", "remote", "add", "lab", server.URL)
	t.Cleanup(func() { try("template", "remote", "remove", "lab") })

	if r := try("template", "search", "lab:", "busybox"); r.status == 0 || !strings.Contains(r.errOut, "--insecure") {
		t.Errorf("plain HTTP: %s", r)
	}
	if got := must(t, "template", "search", "lab:", "busybox", "--insecure", "--quiet"); got != "lab:busybox/1" {
		t.Errorf("search finds %q", got)
	}
	for _, p := range products {
		alias := strings.Split(p.Aliases, ",")[1]
		name := "lab-" + strings.ReplaceAll(alias, "/", "-")
		must(t, "template", "pull", "lab:"+alias, name, "--insecure")
		t.Cleanup(func() { try("template", "remove", name) })
		vps := boot(t, name)
		if got := sh(t, vps, "cat /etc/hostname"); got != vps {
			t.Errorf("%s has the name %q", name, got)
		}
		if strings.HasPrefix(alias, "debian") {
			if got := in(t, vps, "systemctl", "is-system-running"); got != "running" {
				t.Errorf("Debian is %s", got)
			}
			if got := sh(t, vps, "su -s /bin/sh nobody -c 'ping -c 1 -W 60 "+gateway(t, vps)+"' >/dev/null && echo answers"); got != "answers" {
				t.Errorf("ping of a user: %s", got)
			}
		}
		must(t, "destroy", "--force", vps)
	}
	if got := must(t, "template", "pull", "lab:busybox/1", "lab-busybox-1", "--insecure"); !strings.HasPrefix(got, "lab-busybox-1@sha256:") {
		t.Errorf("pulled again: %s", got)
	}
	if r := try("template", "pull", "lab:nix/1", "--insecure"); r.status != 3 || !strings.Contains(r.errOut, "server lab has no image") {
		t.Error(r)
	}
	refused(t, 3, "no image server", "template", "pull", "nix:nix/1")
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// shell runs a script on the host.
func shell(t *testing.T, script string) {
	t.Helper()
	if out, err := exec.Command("sh", "-euc", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
}

// A server that cannot be reached is one error, with a command that works. It comes at once.
func TestImageServerIsNotThere(t *testing.T) {
	hostAsBefore(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := l.Addr().String()
	l.Close()
	for remote, url := range map[string]string{"refusing": "https://" + refusing, "unknown": "https://images.invalid"} {
		must(t, "template", "remote", "add", remote, url)
		t.Cleanup(func() { try("template", "remote", "remove", remote) })
	}
	for from, says := range map[string]string{
		"refusing:alpine/3.22": refusing + " cannot be reached: dial tcp " + refusing + ": connect: connection refused",
		"unknown:alpine/3.22":  "images.invalid cannot be reached: ",
		refusing + "/alpine:3": refusing + " cannot be reached: ",
		"images.invalid/a:3":   "images.invalid cannot be reached: ",
	} {
		vps := name(t, "none")
		for status, args := range map[int][]string{
			8:   {"create", "--template", from, vps},
			125: {"run", "--name", vps, "--template", from, "--", "sh"},
		} {
			r := inLonelyNamespace(t, args...)
			checkRefusal(t, r, status, says)
			if hints := strings.Count(r.errOut, "croft: hint: "); hints != 1 || !strings.Contains(r.errOut, "hint: croft template list --all; check the network") {
				t.Errorf("what to do: %s", r)
			}
		}
	}
	if out := must(t, "template", "list", "--all"); !strings.Contains(out, "debian-12") {
		t.Errorf("the hint shows\n%s", out)
	}
}

// inLonelyNamespace runs croft in a network namespace that has only a loopback interface. So names of
// other hosts have no addresses.
func inLonelyNamespace(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), usual)
	defer cancel()
	cmd := command(ctx, args...)
	cmd.Args = append([]string{"unshare", "--net", "sh", "-c", `ip link set lo up && exec "$@"`, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = tool(t, "unshare")
	return finish(cmd, args)
}
