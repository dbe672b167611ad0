package fit

import (
	"slices"
	"strings"

	"croft/internal/pattern"
	"croft/network/guest"
)

// networkWait lets no boot wait for an interface that the VPS does not have, and fail
// without it.
func networkWait(p *planner) {
	for _, dir := range []string{"usr/lib/systemd/", "lib/systemd/"} {
		if program := dir + "systemd-networkd-wait-online"; p.has(program) {
			p.dropIn("systemd-networkd-wait-online.service", "[Unit]\nConditionPathExistsGlob=/sys/class/net/eth*\n"+
				"[Service]\nExecStart=\nExecStart=-/"+program+" --any --timeout=30\n")
			break
		}
	}
	if p.program("nm-online") {
		p.dropIn("NetworkManager-wait-online.service", "[Service]\nEnvironment=NM_ONLINE_TIMEOUT=30\nSuccessExitStatus=1\n")
	}
	p.interfaces()
}

// dropIn adds to a unit. 90 is after the file that netplan makes.
func (p *planner) dropIn(unit, text string) {
	file := "etc/systemd/system/" + unit + ".d/90-croft.conf"
	if !p.has(file) {
		p.edit(Write, file, 0o644, "# "+marker+": waits for no interface that the VPS does not have.\n"+text)
	}
}

// machineLink matches the names of network cards.
var machineLink = pattern.New(`^(eth[0-9]+|en[opsxPw][0-9A-Za-z]+|wl[a-z0-9]+|usb[0-9]+)$`)

// interfaces comments out the network cards of a machine in interfaces(5).
func (p *planner) interfaces() {
	files := []string{"etc/network/interfaces"}
	for _, name := range p.names("etc/network/interfaces.d") {
		files = append(files, "etc/network/interfaces.d/"+name)
	}
	gone := func(link string) bool {
		name, _, _ := strings.Cut(link, ":")
		return machineLink().MatchString(name) && !slices.Contains(p.Links, name)
	}
	for _, file := range files {
		if !p.regular(file) || p.own(file) {
			continue
		}
		if text, err := p.read(file); err == nil {
			if changed := guest.WithoutStanzas(text, gone); changed != text {
				p.edit(Change, file, 0, changed)
			}
		}
	}
}
