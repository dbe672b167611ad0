package fit

import (
	"strings"

	"croft/internal/identity"
	"croft/internal/initkind"
)

// machineID replaces an id that all VPSs of the template would share by the UUID of the
// VPS. systemd takes the UUID too, for a file that is empty. A missing file stays
// missing: systemd then enables its preset units.
func machineID(p *planner) {
	const file = identity.MachineID
	text, err := p.read(file)
	if id := strings.TrimSpace(text); !p.own(file) && (isMachineID(id) || p.Init != initkind.Systemd && (err == nil && id == "" || p.has(file) && err != nil)) {
		p.edit(Write, file, 0o444, strings.ReplaceAll(p.UUID, "-", "")+"\n")
	}
	if dbus := identity.DBusMachineID; p.regular(dbus) && !p.own(dbus) {
		p.edit(Link, dbus, 0, "/"+file)
	}
}

func isMachineID(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}

// sshKeys removes host keys. The service of sshd or dropbear makes new ones: those of
// Debian do not do it by themselves, and package guest tells them to. An image that runs a
// command has no such service.
func sshKeys(p *planner) {
	if p.Init == initkind.Croft {
		return
	}
	for _, d := range []struct{ dir, maker string }{{identity.SSHDir, "ssh-keygen"}, {identity.DropbearDir, "dropbearkey"}} {
		if !p.program(d.maker) {
			continue
		}
		for _, name := range p.names(d.dir) {
			if name = d.dir + "/" + name; identity.HostKey(name) && !p.own(name) {
				p.edit(Remove, name, 0, "")
			}
		}
	}
}

// randomSeed removes seeds, with which programs of several VPSs would get the same
// numbers.
func randomSeed(p *planner) {
	for _, name := range identity.Seeds() {
		if p.regular(name) && !p.own(name) {
			p.edit(Remove, name, 0, "")
		}
	}
}

// rootPassword locks an empty password of root.
func rootPassword(p *planner) {
	for _, name := range []string{"etc/passwd", "etc/shadow"} {
		p.changeLines(name, func(line string) string {
			if rest, empty := strings.CutPrefix(line, "root::"); empty {
				return "root:*:" + rest
			}
			return line
		})
	}
}
