// Package guests lists software that administrators run in a VPS, with scripts
// that install, set up and use it, and keeps the table of the results. The
// integration tests run the scripts (TestGuests, TestSandboxing), and `make guests`
// writes the table to docs/guests.md.
package guests

import (
	"slices"
	"strings"
)

// A Program is software from packages of Debian 13. Its scripts run as root inside
// a VPS, by sh -eu.
type Program struct {
	Name     string
	Packages []string // the first one has the version
	Options  []string // of croft create
	Croft    bool     // the croft that is tested is in /usr/local/bin
	Preset   string   // answers for debconf
	Setup    string   // runs once, after the installation
	// Use uses the program. It runs after Setup with $USE = 1, and after a restart
	// of the VPS with $USE = 2. A check that fails ends it.
	Use string
	// Host prints what the host lacks for this program, if anything. Then the program
	// is neither set up nor used.
	Host   string
	Remark string // markdown, for the table
	Few    bool   // a part of `make test`, too
}

// Programs are all of them, as the table has them.
func Programs() []Program {
	return slices.Concat(containers, kubernetes, machines, databases, servers, firewalls, tunnels)
}

// Few are the programs that `make test` uses.
func Few() []Program {
	return slices.DeleteFunc(Programs(), func(p Program) bool { return !p.Few })
}

// Install is the script that installs the packages, by the apt of the VPS itself,
// from the directory that the template has them in.
func (p Program) Install() string {
	if len(p.Packages) == 0 {
		return ""
	}
	preset := ""
	if p.Preset != "" {
		preset = "debconf-set-selections <<'END'\n" + strings.TrimSpace(p.Preset) + "\nEND\n"
	}
	apt := "apt-get --quiet --yes --no-install-recommends -o Dir::Etc::sourcelist=" + directory + "/sources.list -o Dir::Etc::sourceparts=- "
	return "export DEBIAN_FRONTEND=noninteractive\n" + preset + apt + "update\n" + apt + "install " + strings.Join(p.Packages, " ") + "\n"
}

// Version is the script that prints the version of the program, without Debian's
// part of it. A metapackage has the version of its first dependency.
func (p Program) Version() string {
	if len(p.Packages) == 0 || p.Croft {
		return ""
	}
	return `dpkg-query --show --showformat '${source:Upstream-Version}\n' ` + p.Packages[0] + " | sed 's/[+~].*//'"
}
