//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// The snapshots of a VPS come back with it from a backup: what they are, and their files.
// They can be mounted, compared, restored and exported, whatever the storage is. Of an archive
// that is cut nothing comes back, and a killed import leaves all or nothing.
func TestBackupOfSnapshots(t *testing.T) {
	for _, kind := range []string{"overlay", "plain"} {
		t.Run(kind, func(t *testing.T) {
			hostAsBefore(t)
			layersLeft(t)
			dir := t.TempDir()
			at := func(name string) string { return filepath.Join(dir, name) }
			web := boot(t, "busybox", "--network", "none", "--storage", kind)
			copied := restoredAs(t, web+"-copy")
			sh(t, web, filesForBackup)
			must(t, "snapshot", "create", "--expire", "7d", "--description", "two words", web, "one")
			must(t, "stop", "--fast", web)
			sh1 := func(name, text string) { must(t, "start", name); sh(t, name, text); must(t, "stop", "--fast", name) }
			sh1(web, "rm /srv/f; echo two >/srv/two")
			must(t, "snapshot", "create", web, "two")
			sh1(web, "echo three >/srv/three")
			must(t, "export", "--snapshots", web, at("all.tar"))
			must(t, "export", web+"@one", at("one.tar"))
			refused(t, 2, "one or the other", "export", "--snapshots", web+"@one", at("none.tar"))

			whole, err := os.ReadFile(at("all.tar"))
			if err == nil {
				err = os.WriteFile(at("cut.tar"), whole[:len(whole)*3/4], 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			refused(t, 2, "", "import", at("cut.tar"), copied)
			if _, there := list(t)[copied]; there {
				t.Fatal("there is a VPS from an archive that is cut")
			}
			for after := range 5 {
				event, end := fileEvents(t, filepath.Join(world.root, "templates", "tmp"), filepath.Join(world.root, "vps"))
				killedAt(t, event, 2*after, "import", at("all.tar"), copied)
				end()
				if _, there := list(t)[copied]; there {
					if got := must(t, "snapshot", "list", "--quiet", copied); got != copied+"@one\n"+copied+"@two" {
						t.Errorf("a killed import has left the snapshots %s", got)
					}
					must(t, "destroy", copied)
				}
			}
			must(t, "import", at("all.tar"), copied)
			const columns = "{{.name}} {{.created}} {{.expires}} {{.description}} {{.running}}"
			want, got := must(t, "snapshot", "list", "--format", columns, web), must(t, "snapshot", "list", "--format", columns, copied)
			if want != got || !strings.Contains(got, "two words") {
				t.Errorf("the snapshots are\n%s\nand not\n%s", got, want)
			}
			for _, name := range []string{"one", "two"} {
				if want, got := treeOfSnapshot(t, web, name), treeOfSnapshot(t, copied, name); !reflect.DeepEqual(want, got) {
					t.Errorf("%s has other files:\n%s", name, changes(want, got))
				}
			}
			if got := must(t, "snapshot", "diff", copied, "two"); !strings.Contains(got, "A /srv/three") || strings.Contains(got, "/srv/two") {
				t.Errorf("diff prints %s", got)
			}
			must(t, "snapshot", "restore", copied, "one")
			must(t, "start", copied)
			if got := sh(t, copied, "cat /srv/f; stat -c %u:%g:%h /srv/f; ls /srv/two /srv/three /etc/issue 2>/dev/null; true"); got != "one\n7:8:2" {
				t.Errorf("after a restore it has %q", got)
			}
			must(t, "destroy", "--force", copied)
			must(t, "import", at("one.tar"), copied)
			if want, got := treeOfSnapshot(t, web, "one"), treeOf(t, func(args ...string) string { return must(t, args...) }, copied); !reflect.DeepEqual(want, got) {
				t.Errorf("the backup of a snapshot has other files:\n%s", changes(want, got))
			}
			must(t, "destroy", copied)
			must(t, "destroy", web)
		})
	}
}

// treeOfSnapshot is treeOf for a snapshot.
func treeOfSnapshot(t *testing.T, name, snapshot string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	return treeOf(t, func(args ...string) string {
		if args[0] == "mount" {
			must(t, "snapshot", "mount", name, snapshot, dir)
		} else {
			must(t, "snapshot", "umount", name, snapshot)
		}
		return dir
	}, name)
}
