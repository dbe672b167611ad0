//go:build integration

package integration

import (
	"os"
	"strings"
	"testing"
)

// Every kind of init boots clean, reboots and powers off from inside, and
// stops by its own shutdown. In a short run it does so once.
func TestDebian(t *testing.T) {
	all := []struct{ template, release string }{
		{"debian-12", "12"},
		{"debian-13", "13"},
		{"debian-12-sysvinit", "12"},
		{"debian-12-openrc", "12"},
	}
	if os.Getenv("FULL") != "" {
		all = append(all, struct{ template, release string }{"debian-11", "11"})
	}
	for _, c := range all {
		t.Run(c.template, func(t *testing.T) {
			hostAsBefore(t)
			vps := boot(t, c.template)
			if got := sh(t, vps, ". /etc/os-release; echo $ID $VERSION_ID"); got != "debian "+c.release {
				t.Errorf("it is %s", got)
			}
			bootedClean(t, vps, c.template)
			before := inspect(t, vps)
			machine, bootID := in(t, vps, "cat", "/etc/machine-id"), in(t, vps, "cat", "/proc/sys/kernel/random/boot_id")
			if len(machine) != 32 && strings.Count(c.template, "-") == 1 { // systemd makes one
				t.Errorf("machine id %q", machine)
			}
			sh(t, vps, "echo kept >/root/file")

			reboots := 2
			if testing.Short() {
				reboots = 1
			}
			for range reboots {
				reboot(t, vps)
				bootedClean(t, vps, c.template)
			}
			after := inspect(t, vps)
			if strings.Join(after.Interfaces[0].Addresses, " ") != strings.Join(before.Interfaces[0].Addresses, " ") ||
				after.Interfaces[0].MAC != before.Interfaces[0].MAC {
				t.Errorf("a reboot made of %+v %+v", before.Interfaces, after.Interfaces)
			}
			if got := in(t, vps, "cat", "/etc/machine-id"); got != machine {
				t.Errorf("machine id %s became %s", machine, got)
			}
			if got := in(t, vps, "cat", "/proc/sys/kernel/random/boot_id"); got == bootID {
				t.Error("the boot id is still the same")
			}
			if got := in(t, vps, "cat", "/root/file"); got != "kept" {
				t.Errorf("its file holds %q", got)
			}

			if !testing.Short() {
				try("exec", vps, "--", "poweroff")
				must(t, "wait", "--for", "stopped", vps)
				must(t, "start", "--wait=network", vps)
			}
			if r := try("stop", vps); r.status != 0 {
				t.Fatal(r)
			}
			if end := inspect(t, vps).LastEnd; end == nil || end.Reason != "halted" {
				t.Errorf("it ended so: %+v, not by its own shutdown", end)
			}
			if testing.Short() {
				return
			}
			must(t, "start", vps) // and stop, at once
			must(t, "stop", vps)
			if end := inspect(t, vps).LastEnd; end == nil || end.Reason != "halted" {
				t.Errorf("right after a start it ended so: %+v", end)
			}
		})
	}
}

// A system whose fstab is that of a machine boots without a failed unit, its / is
// writable whatever that says, and what a VPS can remount has the options.
func TestFstab(t *testing.T) {
	for _, template := range []string{"debian-12", "debian-13"} {
		t.Run(template, func(t *testing.T) {
			hostAsBefore(t)
			vps := boot(t, template, "--network", "none")
			for _, root := range []string{"/dev/sda1 / ext4 errors=remount-ro 0 1", "overlay / overlay ro 0 0", "LABEL=root / ext4 ro 0 1"} {
				sh(t, vps, "echo '"+root+"' >/etc/fstab && cat >>/etc/fstab <<END\nUUID=1234-5678 /boot vfat defaults 0 2\n"+
					"UUID=1111 none swap sw 0 0\nproc /proc proc hidepid=2 0 0\nEND")
				must(t, "restart", "--wait", vps)
				bootedClean(t, vps, template)
				sh(t, vps, "touch /root/written && grep -q '^proc /proc .*hidepid=' /proc/mounts")
			}
			sh(t, vps, ": >/etc/fstab")
			must(t, "restart", "--wait", vps)
			bootedClean(t, vps, template)
			if got := sh(t, vps, "cat /etc/systemd/system/systemd-remount-fs.service.d/croft.conf 2>/dev/null || true"); got != "" {
				t.Errorf("without a line for / there is still %s", got)
			}
		})
	}
}

func bootedClean(t *testing.T, vps, template string) {
	t.Helper()
	switch {
	case strings.HasSuffix(template, "-sysvinit"):
		if got := in(t, vps, "runlevel"); got != "N 2" {
			t.Errorf("runlevel %q", got)
		}
	case strings.HasSuffix(template, "-openrc"):
		if got := in(t, vps, "rc-status", "--all"); strings.Contains(got, "crashed") {
			t.Errorf("crashed:\n%s", got)
		}
		if got := in(t, vps, "rc-status", "--runlevel"); got != "default" {
			t.Errorf("runlevel %q", got)
		}
	default:
		if got := in(t, vps, "systemctl", "is-system-running"); got != "running" {
			t.Errorf("it is %s:\n%s", got, try("exec", vps, "--", "systemctl", "--failed").out)
		}
		if got := in(t, vps, "systemctl", "--failed", "--no-legend", "--plain"); got != "" {
			t.Errorf("failed: %s", got)
		}
	}
}

func TestFirewallInside(t *testing.T) {
	hostAsBefore(t)
	vps, other := boot(t, "debian-12"), boot(t, "busybox")
	before := look(t)
	for _, script := range []string{
		"iptables -A INPUT -p icmp -j DROP",
		"iptables -t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080",
		"ip6tables -A INPUT -p tcp --dport 23 -j REJECT",
		"ip6tables -t nat -A POSTROUTING -o eth0 -j MASQUERADE",
		"iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT",
		"nft add table inet mine; nft add chain inet mine in '{ type filter hook input priority 0; }'; nft add rule inet mine in tcp dport 25 drop",
	} {
		sh(t, vps, script)
	}
	if got := in(t, vps, "iptables", "-S"); !strings.Contains(got, "-A INPUT -p icmp -j DROP") {
		t.Errorf("iptables -S:\n%s", got)
	}
	if got := in(t, vps, "nft", "list", "table", "inet", "mine"); !strings.Contains(got, "tcp dport 25 drop") {
		t.Errorf("nft list:\n%s", got)
	}
	ping := []string{"exec", other, "--", "ping", "-c", "1", "-W", "1", address(t, vps, 0)}
	if r := try(ping...); r.status == 0 {
		t.Errorf("its firewall lets a ping in: %s", r)
	}
	in(t, vps, "iptables", "-F", "INPUT")
	if r := try(ping...); r.status != 0 {
		t.Error(r)
	}
	for line := range look(t) {
		if !before[line] && (strings.HasPrefix(line, "nft") || strings.HasPrefix(line, "ip")) {
			t.Errorf("its rules are seen outside: %s", line)
		}
	}

	// Its own routes: an MTU and a source for one destination.
	sh(t, vps, "ip route add 198.51.100.0/24 dev eth0 mtu 1300 src "+address(t, vps, 0)+"; ip rule add from 203.0.113.1 table 7; ip route add default dev eth0 table 7")
	if got := in(t, vps, "ip", "route", "get", "198.51.100.9"); !strings.Contains(got, "mtu 1300") {
		t.Errorf("route: %s", got)
	}
}
