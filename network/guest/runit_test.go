package guest

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestRunitHasAGettyOnTheConsole(t *testing.T) {
	root := fstest.MapFS{"sbin/getty": file(""), "etc/runit/runsvdir/default/ssh": link("/etc/sv/ssh")}
	for _, init := range []string{InitSysVinit, InitRunit} {
		got := fitted(t, root, init, true)
		apply(root, got)
	}
	const run = "etc/runit/runsvdir/default/getty-console/run"
	if f := root[run]; f == nil || f.Mode != 0o755 || !strings.HasPrefix(string(f.Data), "#!/bin/sh\n") || !strings.Contains(string(f.Data), "exec /sbin/getty -L 115200 console") {
		t.Fatalf("the service is %+v", f)
	}
	root[run].Data = []byte("#!/bin/sh\n# mine\n")
	if got := fitted(t, root, InitRunit, false); len(got.Files) > 0 {
		t.Errorf("the user's is changed:\n%s", got)
	}
}
