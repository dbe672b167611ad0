package rebase

import (
	"slices"
	"testing"
)

func TestOf(t *testing.T) {
	own := []string{"/etc/hosts", "/etc/issue", "/srv/a", "/var/lib/dpkg/info/nginx.list", "/var/lib/dpkg/lock", "/var/lib/dpkg/status"}
	p := Of(own, []string{"/bin/sh", "/etc/issue", "/var/lib/dpkg/lock", "/var/lib/dpkg/status"})
	if p.Changed != 4 || !slices.Equal(p.Kept, []string{"/etc/issue", "/var/lib/dpkg/lock"}) ||
		!slices.Equal(p.Packages, []string{"/var/lib/dpkg/info/nginx.list", "/var/lib/dpkg/status"}) {
		t.Errorf("%+v", p)
	}
	if p = Of(nil, nil); p.Kept == nil || p.Packages == nil {
		t.Errorf("as JSON it has null: %+v", p)
	}
}

func TestInPackageDatabase(t *testing.T) {
	for name, want := range map[string]bool{
		"/var/lib/dpkg/status": true, "/var/lib/dpkg/status-old": false, "/var/lib/dpkg/info/a.list": true, "/var/lib/dpkg": false,
		"/var/lib/rpm/rpmdb.sqlite": true, "/var/lib/rpm/rpmdb.sqlite-shm": false, "/var/lib/rpm/Packages.db": true,
		"/usr/lib/sysimage/rpm/rpmdb.sqlite": true, "/lib/apk/db/installed": true, "/lib/apk/db/lock": false,
		"/var/lib/pacman/local/bash-5.2-1/desc": true, "/var/lib/pacman/sync/core.db": false, "/var/db/xbps/pkgdb-0.38.plist": true,
		"/var/db/pkg/app-shells/bash-5.2/CONTENTS": true, "/home/var/lib/dpkg/status": false,
	} {
		if InPackageDatabase(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}
