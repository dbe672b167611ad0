//go:build integration

package integration

import (
	"strings"
	"testing"
)

// Docker and Podman from Debian's packages run containers inside, as root and
// as an ordinary user, with the storage that they prefer, and what they have is
// the VPS's: it outlives a restart and comes with a template that is made from it.
func TestContainersInside(t *testing.T) {
	for _, template := range []string{"debian-12-containers", "debian-13-containers"} {
		if testing.Short() && template != "debian-12-containers" {
			continue
		}
		t.Run(template, func(t *testing.T) {
			hostAsBefore(t)
			var options []string
			if template == "debian-12-containers" { // its Docker asks for all capabilities
				options = []string{"--allow", "capabilities"}
			}
			vps := boot(t, template, options...)
			bootedClean(t, vps, template)
			sh(t, vps, `mkdir -p /srv/image/bin /srv/image/proc /srv/image/sys && cd /srv/image/bin && cp /bin/busybox . &&
				for a in sh cat echo grep id rm test; do ln -s busybox $a; done && tar -C /srv/image -cf /srv/image.tar . &&
				useradd --create-home --shell /bin/bash ann`)
			t.Run("docker", func(t *testing.T) { dockerInside(t, vps) })
			t.Run("podman", func(t *testing.T) { podmanInside(t, vps) })
			t.Run("podman of a user", func(t *testing.T) { rootlessInside(t, vps, template) })
			t.Run("restart", func(t *testing.T) {
				must(t, "restart", "--wait", vps)
				if got := sh(t, vps, "docker run --rm changed cat /new"); got != "new" {
					t.Errorf("docker: %s", got)
				}
			})
			t.Run("template", func(t *testing.T) {
				made := name(t, "made")
				must(t, "template", "create", made, "--from", vps)
				t.Cleanup(func() { must(t, "template", "remove", made) })
				copied := boot(t, made)
				bootedClean(t, copied, template)
				if got := sh(t, copied, "docker info --format '{{.Driver}}' && docker run --rm changed sh -c 'cat /new; test ! -e /bin/grep'"); got != "overlay2\nnew" {
					t.Errorf("docker: %s", got)
				}
			})
		})
	}
}

func dockerInside(t *testing.T, vps string) {
	t.Helper()
	sh(t, vps, "docker import /srv/image.tar tiny")
	if got := sh(t, vps, "docker info --format '{{.Driver}}'"); got != "overlay2" {
		t.Errorf("its storage is %s", got)
	}
	if got := sh(t, vps, "docker run --rm tiny sh -c 'id -u; echo works'"); got != "0\nworks" {
		t.Errorf("docker run: %s", got)
	}
	if got := sh(t, vps, "docker run --rm --privileged tiny grep sysfs /proc/mounts"); !strings.Contains(got, " /sys sysfs rw,") {
		t.Errorf("docker run --privileged: %s", got)
	}
	// A layer that takes something away.
	sh(t, vps, "docker run --name changes tiny sh -c 'rm /bin/grep; echo new >/new' && docker commit changes changed && docker rm changes")
	if got := sh(t, vps, "docker run --rm changed sh -c 'cat /new; test ! -e /bin/grep'"); got != "new" {
		t.Errorf("an image made inside: %s", got)
	}
}

// podmanRun is the command with which Podman runs something in the image tiny. A
// host without cgroup v2 has no controllers to delegate, and Podman's own default
// limit fails there.
func podmanRun(t *testing.T, vps string) string {
	t.Helper()
	if strings.Contains(sh(t, vps, "cat /sys/fs/cgroup/cgroup.controllers"), "pids") {
		return "podman run --rm tiny "
	}
	return "podman run --rm --pids-limit 0 tiny "
}

func podmanInside(t *testing.T, vps string) {
	t.Helper()
	sh(t, vps, "podman import /srv/image.tar tiny")
	if got := sh(t, vps, "podman info --format '{{.Store.GraphDriverName}}'"); got != "overlay" {
		t.Errorf("its storage is %s", got)
	}
	if got := sh(t, vps, podmanRun(t, vps)+"sh -c 'id -u; echo works'"); got != "0\nworks" {
		t.Errorf("podman run: %s", got)
	}
}

func rootlessInside(t *testing.T, vps, template string) {
	t.Helper()
	user := func(script string) string {
		t.Helper()
		return in(t, vps, "su", "-", "ann", "-c", script)
	}
	for _, device := range []string{"/dev/net/tun", "/dev/fuse"} {
		if r := try("exec", "--user", "ann", vps, "--", "sh", "-c", "exec 3<>"+device); r.status != 0 {
			t.Errorf("an ordinary user cannot open %s: %s", device, r)
		}
	}
	user("podman import /srv/image.tar tiny")
	if got := user(podmanRun(t, vps) + "sh -c 'id -u; echo works'"); got != "0\nworks" {
		t.Errorf("podman run: %s", got)
	}
	// Debian 12's Podman takes vfs unless a storage.conf says otherwise.
	if got := user("podman info --format '{{.Store.GraphDriverName}}'"); got != "overlay" && template != "debian-12-containers" {
		t.Errorf("its storage is %s", got)
	}
}
