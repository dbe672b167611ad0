package identity

import "testing"

func TestRemoved(t *testing.T) {
	for name, want := range map[string]bool{
		"etc/ssh/ssh_host_ed25519_key": true, "etc/ssh/ssh_host_rsa_key.pub": true, "var/lib/dbus/machine-id": true,
		"var/lib/systemd/random-seed": true, "var/lib/seedrng/seed.credit": true,
		"etc/machine-id": false, "etc/ssh/sshd_config": false, "etc/ssh/ssh_host_rsa_key.bak": false,
		"etc/ssh/old/ssh_host_rsa_key": false, "root/ssh_host_rsa_key": false,
		"etc/dropbear/dropbear_rsa_host_key": true, "etc/dropbear/dropbear_ed25519_host_key.pub": true, "etc/dropbear/initramfs/dropbear_rsa_host_key": false,
	} {
		if got := Removed(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
