//go:build integration

package integration

import (
	"context"
	"os"
	"os/exec"
	"testing"
)

// The steps of docs/guide/move.md: stop, export into import on another host, start
// there. The other host has the same files, and the VPS starts here no more at boot.
func TestMoveByHand(t *testing.T) {
	hostAsBefore(t)
	path := far(t)
	vps := boot(t, "busybox", "--network", "none", "--memory", "64M", "--onboot", "yes")
	sh(t, vps, `mkdir /srv/data && echo kept >/srv/data/file && ln /srv/data/file /srv/data/link && chown 33:33 /srv/data && rm /etc/issue`)
	tree := `cd / && find srv etc -xdev ! -name hosts ! -name hostname | sort | while read -r f; do ls -ldn "$f" | awk '{print $1,$2,$3,$4,$NF}'; done; cat srv/data/file`
	before := sh(t, vps, tree)
	must(t, "stop", vps)
	moved := vps + "-there" // the two hosts of the test are one, whose names are the same

	move := exec.CommandContext(context.Background(), "bash", "-c", `set -e -o pipefail
		croft() { "$CROFT" "$@"; }
		croft $HERE export "$1" - | croft -H far import - "$2"
		croft $HERE set "$1" --onboot no
		croft -H far start --wait "$2"`, "bash", vps, moved)
	move.Env = append(os.Environ(), "PATH="+path, "CROFT="+world.croft, "HERE=--root "+world.root+" --run-dir "+world.run)
	there := func(args ...string) result {
		args = append([]string{"-H", "far"}, args...)
		cmd := exec.Command(world.croft, args...)
		cmd.Env = append(os.Environ(), "PATH="+path)
		return finish(cmd, args)
	}
	t.Cleanup(func() {
		if r := there("destroy", "--force", "--if-exists", moved); r.status != 0 {
			t.Error(r)
		}
	})
	if out, err := move.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if r := there("exec", moved, "--", "sh", "-c", tree); r.status != 0 || r.out != before+"\n" {
		t.Errorf("the files there: %s\nwant %s", r, before)
	}
	if r := there("list", "--format", "{{.name}} {{.status}} {{.onboot}} {{.limits.memoryBytes}}"); r.out != moved+" running yes 67108864\n" {
		t.Error(r)
	}
	if got := must(t, "list", "--format", "{{.status}} {{.onboot}}", vps); got != "stopped no" {
		t.Errorf("here it is %s", got)
	}
}
