//go:build integration

package integration

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// A VPS comes back from a registry as it was. The second backup sends only what has
// changed, also after snapshots, and a new host fetches only what it does not have. Who
// takes an image for a backup, or a backup for an image, is told.
func TestBackupInARegistry(t *testing.T) {
	hostAsBefore(t)
	layersLeft(t)
	r := startRegistry(t)
	one, two := r.host+"/backups/web:1", r.host+"/backups/web:2"
	web := boot(t, "busybox", "--memory", "64M", "--label", "tier=web")
	sh(t, web, filesForBackup+"; dd if=/dev/urandom of=/srv/big bs=1M count=4 2>/dev/null")
	live := r.try(world.root, nil, "push", web, r.host+"/backups/web:live")
	if live.status != 0 || !strings.Contains(live.errOut, "stood still") || !strings.HasPrefix(live.out, r.host+"/backups/web:live@sha256:") {
		t.Fatalf("push of the running one: %s", live)
	}
	must(t, "stop", web)
	r.must(world.root, "push", web, one)
	must(t, "snapshot", "create", web, "then")
	must(t, "start", web)
	sh(t, web, "echo later >/srv/f")
	must(t, "stop", web)
	must(t, "snapshot", "delete", web, "then")
	croft := func(args ...string) string { return must(t, args...) }
	tree, was := treeOf(t, croft, web), inspect(t, web)
	second := r.try(world.root, nil, "push", "--compress", "zstd", web, two)
	sent := regexp.MustCompile(`sent ([0-9.]+)([BKM]), and`).FindStringSubmatch(second.errOut)
	if second.status != 0 || sent == nil || sent[2] == "M" {
		t.Errorf("the second push sends the first again: %s", second)
	}

	must(t, "destroy", "--force", web)
	if got := r.must(world.root, "create", "--from", strings.TrimSpace(second.out), web); got != web {
		t.Errorf("create prints %q", got)
	}
	restoredAs(t, web)
	r.must(world.root, "create", "--from", two, "--if-missing", web)
	if got := r.try(world.root, nil, "create", "--from", two, web); got.status != 4 {
		t.Errorf("create of one that exists: %s", got)
	}
	now := inspect(t, web)
	for _, same := range []struct{ got, want any }{
		{now.UUID, was.UUID}, {now.Labels, was.Labels}, {now.Limits, was.Limits}, {now.Interfaces[0].Addresses, was.Interfaces[0].Addresses},
	} {
		if !reflect.DeepEqual(same.got, same.want) {
			t.Errorf("it has %v and had %v", same.got, same.want)
		}
	}
	if got := treeOf(t, croft, web); !reflect.DeepEqual(got, tree) {
		t.Errorf("its files are other ones:\n%s", changes(tree, got))
	}

	// On another host; then the first backup, of which it has all layers.
	here := newSite(t)
	r.must(here.root, "create", "--from", two, "--network", "none", "web")
	if got := treeOf(t, func(args ...string) string { return strings.TrimSpace(here.must(args...).out) }, "web"); !reflect.DeepEqual(got, tree) {
		t.Errorf("its files on another host are other ones:\n%s", changes(tree, got))
	}
	r.must(here.root, "create", "--from", one, "--network", "none", "old")
	here.must("start", "old")
	if got := strings.TrimSpace(here.must("exec", "old", "--", "cat", "/srv/f").out); got != "one" {
		t.Errorf("the first backup has %q", got)
	}
	here.must("destroy", "--force", "web", "old")

	r.must(world.root, "template", "push", "busybox", r.host+"/busybox:1")
	for _, c := range []struct {
		args   []string
		status int
		words  string
	}{
		{[]string{"create", "--from", r.host + "/busybox:1", "x"}, 2, "not a backup"},
		{[]string{"create", "--from", r.host + "/backups/none:1", "x"}, 3, "none:1"},
		{[]string{"push", web, strings.TrimSpace(second.out)}, 2, "digest"},
		{[]string{"push", "unknown", one}, 3, "unknown"},
	} {
		checkRefusal(t, r.try(world.root, nil, c.args...), c.status, c.words)
	}
	checkRefusal(t, r.try(world.root, []string{"HOME=/nonexistent"}, "push", web, one), 7, "denies access")
	pulled := r.try(world.root, nil, "template", "pull", one, web)
	if pulled.status != 0 || !strings.Contains(pulled.errOut, "is a backup of a VPS") {
		t.Errorf("template pull of a backup: %s", pulled)
	}
	must(t, "template", "remove", web)
}
