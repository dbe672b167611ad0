//go:build integration

package integration

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// A start raises a limit of the host that is too low, once, and says so; not if the
// administrator does not want that.
func TestStartRaisesHostLimits(t *testing.T) {
	hostAsBefore(t)
	const file = "/proc/sys/fs/inotify/max_user_watches"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Skip("this kernel does not bound inotify watches")
	}
	was := strings.TrimSpace(string(text))
	if n, err := strconv.Atoi(was); err != nil || n < 8000 {
		t.Skipf("the host allows %s watches already", was)
	}
	set := func(value string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(value), 0); err != nil {
			t.Skipf("this host does not let its root set %s: %v", file, err)
		}
	}
	t.Cleanup(func() { set(was) })
	watches := func() string {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	vps := create(t, "busybox", "--network", "none")
	set("8000") // other VPSs of this host go on with that
	config := world.root + "-etc/croft.yaml"
	if err := os.MkdirAll(world.root+"-etc", 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(world.root + "-etc") })
	if err := os.WriteFile(config, []byte("host-limits: keep\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := try("start", vps)
	if r.status != 0 || !strings.Contains(r.errOut, "run: sysctl -w fs.inotify.max_user_watches=1048576") || watches() != "8000" {
		t.Errorf("the administrator keeps the limits, and there are %s watches: %s", watches(), r)
	}
	must(t, "stop", "--fast", vps)
	if err := os.Remove(config); err != nil {
		t.Fatal(err)
	}
	r = try("start", vps)
	if r.status != 0 || !strings.Contains(r.errOut, "raised fs.inotify.max_user_watches of the host from 8000 to 1048576") || watches() != "1048576" {
		t.Errorf("there are %s watches: %s", watches(), r)
	}
	if r := try("restart", "--fast", vps); r.status != 0 || strings.Contains(r.errOut, "raised") {
		t.Errorf("at the next start: %s", r)
	}
}
