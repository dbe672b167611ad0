package initkind

import "testing"

func TestOf(t *testing.T) {
	for file, want := range map[string]Kind{
		"/usr/lib/systemd/systemd": Systemd, "/bin/busybox": Busybox, "/usr/bin/busybox.static": Busybox,
		"/sbin/init": SysV, "/usr/sbin/openrc-init": OpenRC, "/sbin/upstart": Upstart,
		"/usr/bin/runit": Runit, "/usr/lib/runit/runit-init": Runit, "/usr/bin/s6-svscan": S6, "/run/croft-init": Croft,
		"/bin/dash": Other, "": Other,
	} {
		if got := Of(file); got != want {
			t.Errorf("Of(%q) = %s, want %s", file, got, want)
		}
	}
}
