//go:build integration

package integration

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// imported makes a template of smallSystem with more entries, those of the same
// name instead of its own.
func imported(t *testing.T, base string, applets string, more ...entry) string {
	t.Helper()
	var entries []entry
	for _, e := range smallSystem(t) {
		replaced := false
		for _, m := range more {
			replaced = replaced || m.Name == e.Name
		}
		if !replaced {
			entries = append(entries, e)
		}
	}
	for applet := range strings.FieldsSeq(applets) {
		entries = append(entries, entry{Header: tar.Header{Name: applet, Typeflag: tar.TypeSymlink, Linkname: "/bin/busybox"}})
	}
	template := name(t, base)
	file := filepath.Join(t.TempDir(), "root.tar")
	if err := os.WriteFile(file, archive(t, append(entries, more...)), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "template", "import", template, file)
	t.Cleanup(func() { try("template", "remove", template) })
	return template
}

func text(name string, mode int64, content string) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode}, content: []byte(content)}
}

// A system whose inittab is that of a machine, with gettys on its screens and a
// service manager that is not installed, boots and has a getty on the console.
func TestInittabOfAMachine(t *testing.T) {
	hostAsBefore(t)
	template := imported(t, "alpine", "sbin/getty bin/login bin/touch bin/ps bin/grep bin/sed", text("etc/inittab", 0o644, `
::sysinit:/sbin/openrc sysinit
::wait:/sbin/openrc default
tty1::respawn:/sbin/getty 38400 tty1
tty2::respawn:/sbin/getty 38400 tty2
::ctrlaltdel:/sbin/reboot
::shutdown:/sbin/openrc shutdown
`))
	vps := create(t, template, "--network", "none")
	must(t, "start", "--wait", vps)
	getty := func() bool { return strings.Count(in(t, vps, "ps"), "getty -L 115200 console") == 1 }
	eventually(t, "a getty is on the console", getty)
	eventually(t, "the getty asks for a name", func() bool { return strings.Contains(must(t, "logs", vps), vps+" login:") })
	if out := must(t, "logs", vps); strings.Contains(out, "tty1") {
		t.Errorf("init looks for a terminal that is missing:\n%s", out)
	}

	// Without croft's first line the file is the user's, and its init leaves no mark.
	sh(t, vps, `sed -i -e 1d -e /booted/d -e 's/no such terminal: tty2.*/gone/' /etc/inittab; echo 'null::respawn:/bin/sleep 1000' >>/etc/inittab`)
	before := sh(t, vps, "cat /etc/inittab")
	must(t, "restart", "--wait", vps)
	if got := sh(t, vps, "cat /etc/inittab"); got != before {
		t.Errorf("the user's file is now\n%s", got)
	}
	must(t, "destroy", "--force", vps)
}

// The same with the inittab that a distribution's sysvinit brings.
func TestInittabOfSysvinit(t *testing.T) {
	hostAsBefore(t)
	needs(t, "debian-12-sysvinit")
	vps := boot(t, "debian-12-sysvinit")
	sh(t, vps, "cp /usr/share/sysvinit/inittab /etc/inittab")
	must(t, "restart", "--wait", vps)
	eventually(t, "a getty is on the console", func() bool {
		return strings.Contains(sh(t, vps, "ps -e -o args"), "115200 - linux") && strings.Contains(must(t, "logs", vps), vps+" login:")
	})
	if got := sh(t, vps, "ps -e -o args | grep -c '[g]etty .*tty[0-9]' || :"); got != "0" {
		t.Errorf("%s gettys on terminals that are missing", got)
	}
	must(t, "stop", vps) // SIGPWR, which that inittab knows
	destroy(t, vps)
}
