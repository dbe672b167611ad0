//go:build integration

package integration

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// images returns the images that the other host has beside the template busybox.
func (h *otherHost) images() string {
	h.Helper()
	const layers = "{{json .layers}}"
	template := must(h.T, "template", "inspect", "busybox", "--format", layers)
	var all []string
	for line := range strings.Lines(h.must("template", "list", "--format", layers)) {
		if strings.TrimSpace(line) != template {
			all = append(all, line)
		}
	}
	return strings.Join(all, "")
}

// trees returns the files of the VPS, which does not run, and of its snapshots, on the
// other host.
func (h *otherHost) trees(vps string, snapshots ...string) map[string]map[string]string {
	h.Helper()
	all := map[string]map[string]string{}
	for _, name := range append([]string{""}, snapshots...) {
		dir := h.T.TempDir()
		all[name] = treeOf(h.T, func(args ...string) string {
			switch {
			case name == "" && args[0] == "mount":
				dir = h.must("mount", vps)
			case name == "":
				h.must("umount", vps)
			case args[0] == "mount":
				h.must("snapshot", "mount", vps, name, dir)
			default:
				h.must("snapshot", "umount", vps, name)
			}
			return fmt.Sprintf("/proc/%d/root%s", h.hold.Process.Pid, dir)
		}, vps)
	}
	return all
}

// Snapshots go with a VPS to another host and back, whatever its storage is: what they are,
// and their files. Each can be restored there. The hosts do not get more layers with each
// move, and the source keeps nothing.
func TestMoveOfSnapshots(t *testing.T) {
	for _, options := range []string{"--storage overlay", "--storage plain", "--disk 64M"} {
		t.Run(options, func(t *testing.T) {
			hostAsBefore(t)
			layersLeft(t)
			far := newOtherHost(t)
			vps := boot(t, "busybox", append(strings.Fields(options), "--network", "none", "--memory", "64M")...)
			moved := vps + "-far"
			t.Cleanup(func() { far.try("destroy", "--force", "--if-exists", moved) })
			sh(t, vps, filesForBackup)
			must(t, "snapshot", "create", "--expire", "7d", "--description", "two words", vps, "one")
			sh(t, vps, "rm /srv/f; echo two >/srv/two")
			must(t, "stop", "--fast", vps)
			must(t, "snapshot", "create", vps, "two")
			must(t, "start", "--wait", vps)
			sh(t, vps, "echo three >/srv/three")
			const columns = "{{.name}} {{.created}} {{.expires}} {{.description}} {{.running}}"
			want := must(t, "snapshot", "list", "--format", columns, vps)
			one, two := treeOfSnapshot(t, vps, "one"), treeOfSnapshot(t, vps, "two")

			var layers string
			for round := range 2 {
				if r := far.move("--remove-source", "--name", moved, vps, "far"); r.status != 0 || !strings.Contains(r.errOut, "its snapshots (2) are moved too") {
					t.Fatal(r)
				}
				if got := far.must("snapshot", "list", "--format", columns, moved); got != want {
					t.Errorf("the snapshots there are\n%s\nand not\n%s", got, want)
				}
				far.must("stop", "--fast", moved)
				there := far.trees(moved, "one", "two")
				for name, want := range map[string]map[string]string{"one": one, "two": two} {
					if got := there[name]; !reflect.DeepEqual(want, got) {
						t.Errorf("%s has other files there:\n%s", name, changes(want, got))
					}
				}
				now, err := filepath.Glob(filepath.Join(far.dir, "root/templates/layers/sha256/*"))
				if err != nil || round > 0 && fmt.Sprint(now) != layers {
					t.Errorf("it had the layers %s there, and has %s", layers, now)
				}
				layers = fmt.Sprint(now)
				if round == 1 || options != "--storage overlay" {
					break
				}
				if r := far.try("move", "--remove-source", "--name", vps, moved, "near"); r.status != 0 {
					t.Fatal(r)
				}
				if got := far.images(); got != "" {
					t.Errorf("the other host still has %s", got)
				}
				must(t, "start", vps)
				if got := must(t, "snapshot", "diff", vps, "two"); !strings.Contains(got, "A /srv/three") || strings.Contains(got, "/srv/two") {
					t.Errorf("back here, diff prints %s", got)
				}
			}
			for name, want := range map[string]map[string]string{"one": one, "two": two} {
				far.must("snapshot", "restore", moved, name)
				if got := far.trees(moved)[""]; !reflect.DeepEqual(want, got) {
					t.Errorf("after a restore of %s it has other files:\n%s", name, changes(want, got))
				}
			}
			far.must("start", moved)
			if got := far.must("exec", moved, "--", "sh", "-c", "ls /srv/two /srv/three; true"); got != "/srv/two" && got != "" {
				t.Errorf("it has %s", got)
			}
		})
	}
}
