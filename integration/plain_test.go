//go:build integration

package integration

import (
	"archive/tar"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// plainPrefix begins the names of templates that are no build of croft: what mmdebstrap
// makes of the suite that follows, as for a machine.
const plainPrefix = "plain-"

// plainOptions are those of mmdebstrap. The hook adds what the image of a machine has,
// and that would make a VPS wait, fail, or share its identity.
func plainOptions() []string {
	const hook = `set -e
cat >"$1/etc/fstab" <<END
UUID=6a1f0b0e-0000-4000-8000-000000000001 / ext4 errors=remount-ro 0 1
/dev/sdb1 /data ext4 defaults 0 2
LABEL=swap none swap sw 0 0
tmpfs /scratch tmpfs size=1m 0 0
END
printf "\nauto ens3\niface ens3 inet dhcp\n" >>"$1/etc/network/interfaces"
chroot "$1" passwd --delete root
echo 0123456789abcdef0123456789abcdef >"$1/etc/machine-id"
echo seed >"$1/var/lib/systemd/random-seed"
mkdir -p "$1/usr/lib/sysctl.d"
echo "net.ipv4.ping_group_range = 0 2147483647" >"$1/usr/lib/sysctl.d/60-image.conf"
echo "vm.swappiness = 10" >"$1/usr/lib/sysctl.d/70-image.conf"
chroot "$1" systemctl enable systemd-networkd systemd-networkd-wait-online
mkdir -p "$1/etc/systemd/system/multi-user.target.wants"
ln -s /lib/systemd/system/network-online.target "$1/etc/systemd/system/multi-user.target.wants/"`
	return []string{"--variant=important", "--include=systemd-sysv,dbus,ifupdown,iputils-ping,openssh-server", "--skip=cleanup/reproducible",
		`--aptopt=Acquire::Check-Valid-Until "false"`, "--customize-hook=" + hook}
}

// importPlain makes the template of a suite.
func (c *cache) importPlain(name, suite string) error {
	start := time.Now()
	fmt.Fprintf(os.Stderr, "integration: making %s, kept in %s for later runs\n", name, c.root)
	file := filepath.Join(filepath.Dir(c.root), name+".tar")
	defer os.Remove(file)
	cmd := exec.Command("mmdebstrap", append(plainOptions(), suite, file)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Dir(c.root)) // the root filesystem may be too large for /tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mmdebstrap %s: %w\n%s", suite, err, out)
	}
	if out, err := c.run("template", "import", name, file); err != nil {
		return fmt.Errorf("croft template import %s: %w\n%s", name, err, out)
	}
	fmt.Fprintf(os.Stderr, "integration: made %s in %v\n", name, time.Since(start).Round(time.Second))
	return nil
}

// A system that was made for a machine boots as a VPS without a failed unit, with an
// identity of its own, and its ordinary users can ping. FULL=1 tests all releases.
func TestPlain(t *testing.T) {
	suites := []string{"trixie"}
	if os.Getenv("FULL") != "" {
		suites = []string{"bullseye", "bookworm", "trixie", "sid"}
	}
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			hostAsBefore(t)
			template := plainPrefix + suite
			needs(t, template)
			first, alone := boot(t, template), boot(t, template, "--network", "none")
			for _, vps := range []string{first, alone} {
				bootedClean(t, vps, template)
			}
			pingsAsUser(t, first, "127.0.0.1", gateway(t, first))
			pingsAsUser(t, alone, "127.0.0.1")
			for _, file := range []string{"/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key.pub"} {
				a, b := in(t, first, "cat", file), in(t, alone, "cat", file)
				if a == b || len(a) < 32 {
					t.Errorf("%s is %q in one VPS and %q in the other", file, a, b)
				}
			}
			if got, want := in(t, first, "cat", "/etc/machine-id"), strings.ReplaceAll(inspect(t, first).UUID, "-", ""); got != want {
				t.Errorf("machine-id %s, UUID %s", got, want)
			}
			if got := sh(t, first, "systemctl is-active ssh console-getty && passwd --status root | cut -d' ' -f2 && grep -c ^[^#] /etc/fstab && systemctl is-enabled fstrim.timer || true"); got != "active\nactive\nL\n1\nmasked" {
				t.Errorf("ssh, the console, the password of root, lines of fstab, fstrim.timer: %q", got)
			}
			if got := inspect(t, first).Fitted; strings.Join(got, " ") != "machine-id ssh-keys random-seed root-password ping units sysctl fstab network-wait oom" {
				t.Errorf("fitted: %v", got)
			}
			serviceBeforeInit(t, first)

			// No later start changes anything.
			key := sh(t, first, "systemctl unmask fstrim.timer; cat /etc/ssh/ssh_host_ed25519_key.pub")
			reboot(t, first)
			bootedClean(t, first, template)
			pingsAsUser(t, first, "127.0.0.1")
			if got := sh(t, first, "cat /etc/ssh/ssh_host_ed25519_key.pub; systemctl is-enabled fstrim.timer || true"); got != key+"\ndisabled" && got != key+"\nenabled" {
				t.Errorf("after a reboot: %s", got)
			}
		})
	}
}

// serviceBeforeInit sees that services, logins and what croft runs are killed for lack of
// memory before the init is.
func serviceBeforeInit(t *testing.T, vps string) {
	t.Helper()
	init := sh(t, vps, "cat /proc/1/oom_score_adj")
	if r := try("exec", "--user", "nobody", vps, "--", "sh", "-c", "echo -1 >/proc/self/oom_score_adj"); r.status == 0 {
		t.Error("a user has a lower oom_score_adj than the init")
	}
	score := "cat /proc/self/oom_score_adj"
	for what, got := range map[string]string{
		"of ssh":           sh(t, vps, "cat /proc/$(systemctl show -P MainPID ssh)/oom_score_adj"),
		"of the console":   sh(t, vps, "cat /proc/$(systemctl show -P MainPID console-getty)/oom_score_adj"),
		"of a new service": sh(t, vps, "systemd-run --quiet --wait --pipe "+score),
		"of a login":       must(t, "exec", "--login", vps, "--", "sh", "-c", score),
		"of a command":     in(t, vps, "cat", "/proc/self/oom_score_adj"),
	} {
		if strings.TrimSpace(got) != "100" || init != "0" {
			t.Errorf("oom_score_adj %s is %q, that of init %q", what, got, init)
		}
	}
}

// gateway returns the IPv4 gateway of a VPS.
func gateway(t *testing.T, vps string) string {
	t.Helper()
	fields := strings.Fields(in(t, vps, "ip", "-4", "route", "show", "default"))
	if len(fields) < 3 {
		t.Fatalf("%s has no default route: %q", vps, fields)
	}
	return fields[2]
}

// pingsAsUser pings as a user without any rights.
func pingsAsUser(t *testing.T, vps string, addresses ...string) {
	t.Helper()
	for _, a := range addresses {
		if r := try("exec", "--user", "nobody", vps, "--", "ping", "-c", "1", "-W", "60", a); r.status != 0 {
			t.Errorf("ping %s as nobody: %s", a, r)
		}
	}
}

// --fit chooses the steps until the first start. What was written before it stays, and
// a template that keeps an identity keeps it in its VPSs.
func TestFit(t *testing.T) {
	hostAsBefore(t)
	header := func(name string, mode int64) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode}
	}
	system := append(smallSystem(t),
		entry{Header: header("etc/fstab", 0o644), content: []byte("/dev/sda1 / ext4 defaults 0 1\ntmpfs /scratch tmpfs defaults 0 0\n")},
		entry{Header: header("etc/machine-id", 0o444), content: []byte("0123456789abcdef0123456789abcdef\n")},
		entry{Header: header("etc/shadow", 0o640), content: []byte("root::20000:0:99999:7:::\n")})
	template := name(t, "fit")
	if r := croftWithin(usual, string(archive(t, system)), "template", "import", template, "-"); r.status != 0 {
		t.Fatal(r)
	}
	t.Cleanup(func() { must(t, "template", "remove", template) })
	files := func(vps string) string { return sh(t, vps, "cat /etc/machine-id /etc/fstab /etc/shadow") }
	start := func(template string, options ...string) string {
		vps := create(t, template, append([]string{"--network", "none"}, options...)...)
		must(t, "start", vps)
		return vps
	}
	id := func(vps string) string { return strings.ReplaceAll(inspect(t, vps).UUID, "-", "") }

	all := start(template)
	want := id(all) + "\n# managed by croft, no such disk: /dev/sda1 / ext4 defaults 0 1\ntmpfs /scratch tmpfs defaults 0 0\nroot:*:20000:0:99999:7:::"
	if got := files(all); got != want {
		t.Errorf("all steps:\n%s", got)
	}
	if got := sh(t, all, "stat -c '%a %u %g' /etc/machine-id /etc/shadow /etc/fstab; cat /proc/sys/net/ipv4/ping_group_range"); got != "444 0 0\n640 0 0\n644 0 0\n0\t262143" {
		t.Errorf("modes, owners and groups of users who ping: %q", got)
	}
	if got := sh(t, all, "cat /proc/1/oom_score_adj /proc/self/oom_score_adj"); got != "0\n100" {
		t.Errorf("oom_score_adj of the init and of a command: %q", got)
	}
	refused(t, 5, "first start --fit", "set", all, "--fit", "none")
	must(t, "set", all, "--fit", "all")

	// A snapshot from before the first start is fitted after a restore, too; a later one is not.
	before := create(t, template, "--network", "none")
	must(t, "snapshot", "create", before, "new")
	must(t, "start", before)
	sh(t, before, "echo root::20001:0:99999:7::: >/etc/shadow")
	must(t, "stop", before)
	must(t, "snapshot", "create", before, "old")
	for snapshot, root := range map[string]string{"new": "root:*:20000", "old": "root::20001"} {
		must(t, "snapshot", "restore", before, snapshot)
		must(t, "start", before)
		if got := sh(t, before, "cut -d: -f1-3 /etc/shadow"); got != root {
			t.Errorf("restored %s: %s", snapshot, got)
		}
		if got := sh(t, before, "cat /etc/machine-id"); got != id(before) {
			t.Errorf("restored %s: machine-id %s", snapshot, got)
		}
		must(t, "stop", before)
	}

	none := start(template, "--fit", "none")
	if got := files(none); !strings.HasPrefix(got, "0123456789abcdef0123456789abcdef\n/dev/sda1") || !strings.HasSuffix(got, "root::20000:0:99999:7:::") {
		t.Errorf("no steps:\n%s", got)
	}
	if got := in(t, none, "cat", "/proc/sys/net/ipv4/ping_group_range"); got == "0\t262143" {
		t.Errorf("no steps, and groups may ping: %s", got)
	}
	if got := in(t, none, "cat", "/proc/self/oom_score_adj"); got != "0" {
		t.Errorf("no steps, and a command has the oom_score_adj %s", got)
	}
	refused(t, 2, "fstag none", "create", "--template", template, "--fit", "fstag", name(t, "never"))

	some := create(t, template, "--network", "none", "--fit", "none")
	must(t, "set", some, "--fit", "-machine-id,-root-password")
	own := "fedcba9876543210fedcba9876543210"
	written := filepath.Join("/tmp", some)
	if err := os.WriteFile(written, []byte("/dev/sdc /mine ext4 defaults 0 0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(written)
	must(t, "cp", written, some+":/etc/fstab")
	must(t, "start", some)
	if got := files(some); got != "0123456789abcdef0123456789abcdef\n/dev/sdc /mine ext4 defaults 0 0\nroot::20000:0:99999:7:::" {
		t.Errorf("some steps, and a fstab that was written before:\n%s", got)
	}

	sh(t, some, "echo "+own+" >/etc/machine-id")
	for _, c := range []struct {
		option string
		keeps  bool
	}{{"--keep-identity", true}, {"--replace", false}} {
		made := name(t, "fit-made")
		must(t, "template", "create", c.option, made, "--from", some)
		vps := start(made)
		if got := in(t, vps, "cat", "/etc/machine-id"); (got == own) != c.keeps || !c.keeps && got != id(vps) {
			t.Errorf("of a template with %s: machine-id %s", c.option, got)
		}
		destroy(t, vps)
		must(t, "template", "remove", made)
	}
}
