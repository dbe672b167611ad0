//go:build integration

package integration

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// A VPS gets the files of a newer template below its own, and gets back what it had if that
// template does not boot.
func TestRebase(t *testing.T) {
	hostAsBefore(t)
	layersLeft(t)
	dir := t.TempDir()
	template := strings.ToLower(name(t, "base"))
	t.Cleanup(func() { try("template", "remove", template) })
	shell(t, "cd "+dir+" && mkdir root && "+world.croft+" --root "+world.root+" template export busybox - --format rootfs | tar -C root -xf -")
	version := func(change string) {
		t.Helper()
		shell(t, "cd "+filepath.Join(dir, "root")+" && "+change+" && tar -cf ../version.tar .")
		must(t, "template", "import", template, filepath.Join(dir, "version.tar"), "--replace")
	}
	version("mkdir -p srv && echo one >srv/version && echo one >srv/both && echo one >srv/old")
	vps := boot(t, template)
	sh(t, vps, "echo mine >/srv/own; echo mine >/srv/both; rm /srv/old")
	digest := func() string { return must(t, "inspect", vps, "--format", "{{.digest}}") }
	old := digest()
	if got := must(t, "list", "--filter", "outdated=true", "--filter", "name="+vps, "--quiet"); got != "" {
		t.Errorf("outdated: %s", got)
	}
	version("echo second >srv/version && echo second >srv/both && echo second >srv/old && echo second >srv/new")
	if got := must(t, "list", "--filter", "outdated=true", "--filter", "name="+vps, "--quiet"); got != vps {
		t.Errorf("outdated: %q", got)
	}
	refused(t, 5, "running", "rebase", vps)
	must(t, "stop", "--fast", vps)

	var plans []struct {
		From, To string
		Changed  int
		Kept     []string
	}
	if err := json.Unmarshal([]byte(must(t, "rebase", vps, "--dry-run", "--json")), &plans); err != nil || len(plans) != 1 {
		t.Fatalf("%v: %+v", err, plans)
	}
	if p := plans[0]; p.From != old || p.To == old || p.Changed < 4 || !strings.Contains(strings.Join(p.Kept, " "), "/srv/both /srv/old") {
		t.Errorf("the plan: %+v", p)
	}
	if got := digest(); got != old {
		t.Errorf("after --dry-run it has %s", got)
	}
	must(t, "rebase", vps)
	if i := inspect(t, vps); digest() != plans[0].To || i.Status != "stopped" {
		t.Errorf("it has %s and is %s", digest(), i.Status)
	}
	if got := must(t, "snapshot", "list", vps, "--quiet"); got != "" {
		t.Errorf("snapshots: %s", got)
	}
	must(t, "start", "--wait", vps)
	files := func() string {
		return strings.Join(strings.Fields(sh(t, vps, "cd /srv; cat version both own new; ls old 2>/dev/null || echo gone")), " ")
	}
	if got := files(); got != "second mine mine second gone" {
		t.Errorf("it has %q", got)
	}
	sh(t, vps, "mkdir -p /var/lib/dpkg; echo changed >/var/lib/dpkg/status")
	must(t, "stop", "--fast", vps)

	version("rm sbin/init && echo three >srv/version")
	refused(t, 5, "/var/lib/dpkg/status", "rebase", vps)
	if r := try("rebase", vps, "--force", "--timeout", "20s"); r.status == 0 || !strings.Contains(r.errOut, "former template again") {
		t.Errorf("a template that does not boot: %s", r)
	}
	if got := digest(); got != plans[0].To {
		t.Errorf("after the trial it has %s", got)
	}
	must(t, "start", "--wait", vps)
	if got := files(); got != "second mine mine second gone" {
		t.Errorf("after the trial it has %q", got)
	}
	must(t, "stop", "--fast", vps)
	must(t, "convert", vps, "--storage", "plain")
	refused(t, 5, "plain storage", "rebase", vps)
}
