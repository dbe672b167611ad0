//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A VPS without a database of time zones gets the file of the host, and one with a
// database gets a link into it: at create, while it runs, and at its next start.
func TestTimeZoneAndLocale(t *testing.T) {
	hostAsBefore(t)
	small := create(t, "busybox", "--network", "none", "--timezone", "Asia/Tokyo")
	must(t, "start", "--wait", small)
	if got := in(t, small, "date", "+%z"); got != "+0900" {
		t.Errorf("the clock of busybox is at %s", got)
	}
	must(t, "set", small, "--timezone", "Asia/Kolkata")
	if got := in(t, small, "date", "+%z"); got != "+0530" {
		t.Errorf("the clock of busybox is at %s", got)
	}
	refused(t, 5, "no time zone Asia/Atlantis", "set", small, "--timezone", "Asia/Atlantis")
	refused(t, 5, "cannot set a locale", "set", small, "--timezone", "UTC", "--locale", "C.UTF-8")
	if got := in(t, small, "date", "+%z"); got != "+0530" {
		t.Errorf("after a set that failed: %s", got)
	}

	vps := create(t, "debian-13-containers", "--network", "none", "--timezone", "Asia/Tokyo", "--locale", "C.UTF-8")
	must(t, "start", "--wait", vps)
	if got := sh(t, vps, "timedatectl show --property Timezone; date +%z; localectl status | head -1; su - -c 'echo $LANG'"); got !=
		"Timezone=Asia/Tokyo\n+0900\nSystem Locale: LANG=C.UTF-8\nC.UTF-8" {
		t.Errorf("got %s", got)
	}
	must(t, "set", vps, "--timezone", "UTC")
	refused(t, 5, "no time zone Asia/Atlantis inside", "set", vps, "--timezone", "Asia/Atlantis", "--locale", "C")
	refused(t, 5, "no locale xx_XX.UTF-8 inside", "set", vps, "--timezone", "Asia/Tokyo", "--locale", "xx_XX.UTF-8")
	if got := sh(t, vps, "date +%z; readlink /etc/localtime; cat /etc/locale.conf; find /etc -name '.*.croft'"); got != "+0000\n/usr/share/zoneinfo/UTC\nLANG=C.UTF-8" {
		t.Errorf("got %s", got)
	}
}

// The seed of cloud-init is there before the first start, for root inside alone.
func TestUserData(t *testing.T) {
	hostAsBefore(t)
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, []byte("#cloud-config\npassword: secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, 5, "there is no cloud-init inside", "create", name(t, "none"), "--template", "busybox", "--user-data", file)
	template := imported(t, "cloudy", "bin/stat bin/cat bin/find", text("usr/bin/cloud-init", 0o755, "#!/bin/sh\n"))
	vps := create(t, template, "--network", "none", "--user-data", file)
	must(t, "start", vps)
	const seed = "cd /var/lib/cloud/seed/nocloud && cat meta-data user-data"
	before := sh(t, vps, seed)
	if !strings.HasPrefix(before, "instance-id: ") || !strings.HasSuffix(before, "\n#cloud-config\npassword: secret") {
		t.Errorf("the seed is %s", before)
	}
	if got := sh(t, vps, "stat -c '%a %u %n' /var/lib/cloud/seed/nocloud/*"); got != "600 0 /var/lib/cloud/seed/nocloud/meta-data\n600 0 /var/lib/cloud/seed/nocloud/user-data" {
		t.Errorf("modes and owners:\n%s", got)
	}
	must(t, "set", vps, "--user-data", file)
	if got := sh(t, vps, seed); got != before {
		t.Errorf("the same data again: %s, not %s", got, before)
	}
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "set", vps, "--user-data", file)
	if got := sh(t, vps, seed); strings.Split(got, "\n")[0] == strings.Split(before, "\n")[0] {
		t.Errorf("other data have the same instance-id: %s", got)
	}
}
