//go:build integration

package integration

import (
	"path/filepath"
	"strings"
	"testing"
)

// A VPS gets the files of another template, and keeps exactly those that it is asked to
// keep, and its settings.
func TestReinstall(t *testing.T) {
	hostAsBefore(t)
	layersLeft(t)
	dir := t.TempDir()
	template := strings.ToLower(name(t, "fresh"))
	t.Cleanup(func() { try("template", "remove", template) })
	shell(t, "cd "+dir+" && mkdir root && "+world.croft+" --root "+world.root+" template export busybox - --format rootfs | tar -C root -xf - && "+
		"cd root && mkdir -p srv/kept etc && echo new >srv/new && echo new >srv/kept/new && echo new >etc/version && tar -cf ../fresh.tar .")
	must(t, "template", "import", template, filepath.Join(dir, "fresh.tar"))
	for _, options := range [][]string{nil, {"--storage", "plain"}, {"--disk", "64M"}} {
		t.Run(strings.Join(append([]string{"with"}, options...), " "), func(t *testing.T) { reinstalled(t, template, options) })
	}
}

func reinstalled(t *testing.T, template string, options []string) {
	vps := boot(t, "busybox", append(options, "--memory", "128M", "--protect")...)
	sh(t, vps, `mkdir -p /srv/kept/deep /etc/own && cd /srv/kept && echo one >deep/file && ln deep/file linked && ln -s /nowhere deep/link &&
		mkfifo -m 640 fifo && cp /bin/busybox suid && chown 7:8 suid && chmod 6711 suid && chown 1000:1001 deep/file && chmod 751 deep &&
		dd if=/dev/zero of=sparse bs=1 count=1 seek=1M 2>/dev/null && touch -d '2001-02-03 04:05:06' deep/link linked deep . &&
		echo mine >/etc/version; echo mine >/etc/own/file; echo mine >/srv/gone`)
	const look = `export TZ=UTC; cd /srv/kept && find . | sort | xargs stat -c '%n %f %u:%g %h %s %y' && readlink deep/link && [ linked -ef deep/file ] &&
		sha256sum linked suid sparse && [ "$(du -k sparse | cut -f1)" -lt 100 ] && cat /etc/own/file`
	kept := sh(t, vps, look)
	refused(t, 5, "protected", "reinstall", vps)
	must(t, "set", vps, "--protect", "no")
	refused(t, 5, "running, and only a stopped VPS can be reinstalled", "reinstall", vps)
	must(t, "stop", "--fast", vps)
	refused(t, 3, "/srv/none: the VPS has no such file", "reinstall", vps, "--keep", "/srv/none")
	before := inspect(t, vps)
	must(t, "reinstall", vps, "--template", template, "--keep", "/srv/kept,/etc/own", "--timezone", "Europe/Berlin")
	must(t, "start", "--wait", vps)
	if got := sh(t, vps, look); got != kept {
		t.Errorf("it has kept\n%s\nand had\n%s", got, kept)
	}
	const others = "cat /etc/version /srv/new; ls -d /srv/gone /srv/kept/new 2>/dev/null; true"
	if got := sh(t, vps, others); got != "new\nnew" {
		t.Errorf("it has %q", got)
	}
	after := inspect(t, vps)
	if after.Template != template || after.UUID != before.UUID || after.Limits != before.Limits || after.Interfaces[0].MAC != before.Interfaces[0].MAC || after.Interfaces[0].Addresses[0] != before.Interfaces[0].Addresses[0] {
		t.Errorf("it was %+v and is %+v", before, after)
	}
	must(t, "stop", "--fast", vps)

	snapshot, found := strings.CutPrefix(must(t, "snapshot", "list", vps, "--quiet"), vps+"@")
	if !found || !strings.HasPrefix(snapshot, "before-reinstall-") {
		t.Fatalf("the snapshot %q", snapshot)
	}
	must(t, "snapshot", "restore", vps, snapshot)
	if got := inspect(t, vps); got.Template != "busybox" {
		t.Errorf("restored, it has the template %s", got.Template)
	}
	must(t, "start", "--wait", vps)
	if got := sh(t, vps, "cat /etc/version /srv/gone") + "\n" + sh(t, vps, look); got != "mine\nmine\n"+kept {
		t.Errorf("restored, it has\n%s", got)
	}
	must(t, "stop", "--fast", vps)
	must(t, "reinstall", vps, "--no-snapshot")
	if got := must(t, "snapshot", "list", vps, "--quiet"); got != vps+"@"+snapshot {
		t.Errorf("snapshots: %s", got)
	}
	if r := try("cp", vps+":/srv/kept", "-"); r.status == 0 {
		t.Error("without --keep it has kept files")
	}
	if got := must(t, "events", vps, "--filter", "event=reinstalled", "--format", "{{.event}}"); len(strings.Fields(got)) != 2 {
		t.Errorf("events: %s", got)
	}
}
