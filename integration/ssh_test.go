//go:build integration

package integration

import (
	"strings"
	"testing"
)

// A VPS whose administrator has installed sshd becomes a template. Each VPS of it
// has host keys and a machine id of its own, and sshd runs in it. Between two of
// them an ordinary user mounts a directory by sshfs, and root makes a tunnel.
func TestSecureShell(t *testing.T) {
	hostAsBefore(t)
	first := boot(t, "debian-13-containers")
	sh(t, first, `echo PermitTunnel yes >/etc/ssh/sshd_config.d/tunnel.conf && systemctl restart ssh &&
		useradd --create-home --shell /bin/bash ann && ssh-keygen -q -t ed25519 -N "" -f /root/.ssh/id_ed25519 &&
		cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys && cp -r /root/.ssh /home/ann && chown -R ann: /home/ann/.ssh`)
	made := name(t, "made")
	must(t, "template", "create", made, "--from", first)
	t.Cleanup(func() { must(t, "template", "remove", made) })
	second, third := boot(t, made), boot(t, made)

	for _, file := range []string{"/etc/ssh/ssh_host_ed25519_key.pub", "/etc/ssh/ssh_host_rsa_key.pub", "/etc/machine-id"} {
		seen := map[string]string{}
		for _, vps := range []string{first, second, third} {
			got := in(t, vps, "cat", file)
			if seen[got] != "" || len(got) < 32 {
				t.Errorf("%s of %s is that of %q: %q", file, vps, seen[got], got)
			}
			seen[got] = vps
		}
	}
	for _, vps := range []string{second, third} {
		bootedClean(t, vps, "debian-13-containers")
		if got := in(t, vps, "systemctl", "is-active", "ssh"); got != "active" {
			t.Errorf("ssh in %s is %s", vps, got)
		}
	}

	// Clients accept no key but the one that the VPS has.
	to := address(t, third, 0)
	known := to + " " + in(t, third, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
	sh(t, second, "echo '"+known+"' >/etc/ssh/ssh_known_hosts")
	ann := func(script string) string { return in(t, second, "su", "-", "ann", "-c", script) }
	if got := ann("ssh " + to + " hostname"); got != third {
		t.Errorf("ssh reaches %s, not %s", got, third)
	}

	ann("mkdir there && sshfs " + to + ":/home/ann there && echo hello >there/file")
	if got := in(t, third, "cat", "/home/ann/file"); got != "hello" {
		t.Errorf("written by sshfs: %q", got)
	}
	if got := ann("fusermount3 -u there && ls there"); got != "" {
		t.Errorf("after unmounting there is %q", got)
	}

	sh(t, second, "ssh -f -N -o ExitOnForwardFailure=yes -w 0:0 root@"+to+" >/dev/null 2>&1 </dev/null")
	for vps, ends := range map[string]string{second: "192.0.2.1 peer 192.0.2.2", third: "192.0.2.2 peer 192.0.2.1"} {
		eventually(t, "the tunnel is there", func() bool { return try("exec", vps, "--", "ip", "link", "show", "tun0").status == 0 })
		sh(t, vps, "ip address add "+ends+" dev tun0 && ip link set tun0 up")
	}
	if got := in(t, second, "ping", "-c", "1", "-W", "60", "192.0.2.2"); !strings.Contains(got, " 0% packet loss") {
		t.Errorf("through the tunnel: %s", got)
	}
}
