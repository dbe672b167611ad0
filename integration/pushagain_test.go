//go:build integration

package integration

import (
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Later pushes of a VPS send what has changed, also where croft copies all its files for each
// push: while it runs, with plain storage and with a disk limit. It is restored as it was.
func TestPushOfChanges(t *testing.T) {
	hostAsBefore(t)
	layersLeft(t)
	r := startRegistry(t)
	for kind, options := range map[string][]string{"overlay": nil, "plain": {"--storage", "plain"}, "disk": {"--disk", "96M"}} {
		t.Run(kind, func(t *testing.T) {
			web := boot(t, "busybox", append(options, "--network", "none", "--memory", "64M")...)
			push := func(tag string) (ref string, sent float64) {
				t.Helper()
				got := r.try(world.root, nil, "push", web, r.host+"/"+kind+"/web:"+tag)
				said := regexp.MustCompile(`sent ([0-9.]+)([BKMG]?), and the registry had`).FindStringSubmatch(got.errOut)
				if got.status != 0 || said == nil {
					t.Fatalf("push %s: %s", tag, got)
				}
				n, err := strconv.ParseFloat(said[1], 64)
				if err != nil {
					t.Fatal(err)
				}
				return strings.TrimSpace(got.out), n * map[string]float64{"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[said[2]]
			}
			sh(t, web, filesForBackup+"; dd if=/dev/urandom of=/srv/big bs=1M count=20 2>/dev/null; mkdir /srv/many; for i in $(seq 100); do echo $i >/srv/many/$i; done")
			if _, sent := push("1"); sent < 20<<20 {
				t.Errorf("the first push sent %v bytes", sent)
			}
			sh(t, web, "echo two >/srv/many/2; rm /srv/many/3 /srv/p; mv /srv/many/4 /srv/four; rm -r /srv/o; echo file >/srv/o; ln /srv/f /srv/h; chmod 700 /srv/d")
			if _, sent := push("2"); sent > 1<<20 {
				t.Errorf("the second push sent %v bytes", sent)
			}
			must(t, "restart", web)
			sh(t, web, "echo three >/srv/many/3")
			third, sent := push("3")
			if sent > 1<<20 {
				t.Errorf("the third push sent %v bytes", sent)
			}
			must(t, "stop", "--fast", web)
			if kind != "overlay" { // that becomes a layer
				if _, sent := push("stopped"); sent > 1<<20 {
					t.Errorf("a push of the stopped one sent %v bytes", sent)
				}
			}
			files := func() map[string]string {
				all := treeOf(t, func(args ...string) string { return must(t, args...) }, web)
				delete(all, "/var/log/messages") // the running VPS writes into it when it ends
				return all
			}
			was := files()
			must(t, "destroy", "--force", web)
			r.must(world.root, "create", "--from", third, restoredAs(t, web))
			if got := files(); !reflect.DeepEqual(got, was) {
				t.Errorf("its files are other ones:\n%s", changes(was, got))
			}
			must(t, "start", web)
			if kind != "overlay" {
				return
			}
			push("4")
			sh(t, web, "echo five >/srv/five")
			if _, sent := push("5"); sent > 1<<20 {
				t.Errorf("a later push of the restored one sent %v bytes", sent)
			}
		})
	}
}
