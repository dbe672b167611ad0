package guest

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// alpineInittab has what Alpine's minirootfs has: gettys on the screens of a
// machine, and an OpenRC that is not installed.
const alpineInittab = `# /etc/inittab

::sysinit:/sbin/openrc sysinit
::sysinit:/sbin/openrc boot
::wait:/sbin/openrc default

tty1::respawn:/sbin/getty 38400 tty1
tty2::askfirst:-/bin/sh

#ttyS0::respawn:/sbin/getty -L 115200 ttyS0 vt100

null::respawn:/sbin/syslogd -n
::respawn:/usr/sbin/sshd -D

::ctrlaltdel:/sbin/reboot
::shutdown:/sbin/openrc shutdown
`

// sysvInittab has what Debian's sysvinit-core has.
const sysvInittab = `id:2:initdefault:
si::sysinit:/etc/init.d/rcS
l2:2:wait:/etc/init.d/rc 2
ca:12345:ctrlaltdel:/sbin/shutdown -t1 -a -r now
pf::powerwait:/etc/init.d/powerfail start
1:2345:respawn:/sbin/getty --noclear 38400 tty1
2:23:respawn:/sbin/getty 38400 /dev/tty2
#T0:23:respawn:/sbin/getty -L ttyS0 9600 vt100
xd:5:respawn:+/usr/bin/xdm -nodaemon`

func inittabSystems() map[string]fstest.MapFS {
	programs := fstest.MapFS{"sbin/getty": file(""), "bin/touch": file(""), "bin/sh": file(""), "sbin/syslogd": file("")}
	with := func(more fstest.MapFS) fstest.MapFS {
		all := maps.Clone(programs)
		maps.Copy(all, more)
		return all
	}
	return map[string]fstest.MapFS{
		"busybox": with(fstest.MapFS{"etc/inittab": file(alpineInittab)}),
		"busybox, with a console": with(fstest.MapFS{"etc/inittab": file(
			"::sysinit:/etc/rc\n::once:/bin/touch /run/booted\n::respawn:-/bin/sh\n")}),
		"busybox, without an inittab": with(fstest.MapFS{"etc/init.d/rcS": file("")}),
		"sysvinit":                    with(fstest.MapFS{"etc/inittab": file(sysvInittab)}),
		"sysvinit, with script":       with(fstest.MapFS{"etc/inittab": file(sysvInittab), "usr/bin/script": file(""), "sbin/shutdown": file("")}),
		"sysvinit, without a getty":   {"etc/inittab": file("id:2:initdefault:\n")},
		"other, with an inittab":      with(fstest.MapFS{"etc/inittab": file(alpineInittab)}),
	}
}

func fitted(t *testing.T, root fstest.MapFS, init string, first bool) Changes {
	t.Helper()
	got, err := Files(root, Settings{Init: init, First: first})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestKeepConsole(t *testing.T) {
	for name, root := range inittabSystems() {
		init, _, _ := strings.Cut(name, ",")
		if got, err := Files(root, Settings{Init: init, First: true, KeepConsole: true}); err != nil || len(got.Files) > 0 {
			t.Errorf("%s: %+v, %v", name, got.Files, err)
		}
	}
}

func TestInittab(t *testing.T) {
	all := inittabSystems()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		root := all[name]
		init, _, _ := strings.Cut(name, ",")
		if init == "other" {
			init = ""
		}
		got := fitted(t, root, init, true)
		b.WriteString("==== " + name + "\n" + got.String())
		apply(root, got)
		if again := fitted(t, root, init, false); len(again.Files)+len(again.Remove) > 0 {
			t.Errorf("%s: a second start writes\n%s", name, again)
		}
	}
	golden(t, "inittab", b.String())
}

// A program that is installed later gets its line back, what the user adds
// stays, and without its first line the file is the user's.
func TestInittabFollowsTheUser(t *testing.T) {
	root := inittabSystems()["busybox"]
	apply(root, fitted(t, root, InitBusybox, true))
	text := func() string { return string(root["etc/inittab"].Data) }
	root["usr/sbin/sshd"] = file("")
	root["etc/inittab"].Data = append(root["etc/inittab"].Data, "::respawn:/bin/mine\ntty9::respawn:/bin/sh\n"...)
	root["bin/mine"] = file("")
	apply(root, fitted(t, root, InitBusybox, false))
	for _, want := range []string{"\n::respawn:/usr/sbin/sshd -D\n", "\n::respawn:/bin/mine\n", "\n# managed by croft, no such terminal: tty9::"} {
		if !strings.Contains(text(), want) {
			t.Errorf("%q is not in\n%s", want, text())
		}
	}
	if n := strings.Count(text(), "getty -L 115200 console"); n != 1 {
		t.Errorf("%d gettys on the console in\n%s", n, text())
	}

	mine := strings.TrimPrefix(text(), inittabHeader) + "tty1::respawn:/sbin/getty 38400 tty1\n"
	root["etc/inittab"] = file(mine)
	if got := fitted(t, root, InitBusybox, false); len(got.Files) > 0 {
		t.Errorf("the user's file is changed:\n%s", got)
	}
}

// Whatever an inittab says, taking out what croft has changed gives it back.
func FuzzInittab(f *testing.F) {
	f.Add(alpineInittab)
	f.Add(sysvInittab)
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, marker) || len(text) > maxFile {
			t.Skip("croft changes no file that has its mark already or is too large")
		}
		for _, init := range []string{InitBusybox, InitSysVinit} {
			w := &writer{root: fstest.MapFS{"sbin/getty": file(""), "bin/touch": file("")}}
			got := strings.TrimSuffix(originalInittab(inittabHeader+w.fitInittab(text, init)), "\n")
			if want := strings.TrimSuffix(text, "\n"); got != want {
				t.Errorf("%s: %q became %q", init, want, got)
			}
		}
	})
}
