// Package hostcheck checks whether a host has what croft needs.
//
// Probe collects facts, mostly by trying. Checks is a pure function that turns
// facts into results. Facts about networks, templates and croft's own files
// come from the packages that know them.
package hostcheck

import (
	"slices"
	"strings"
)

// A Status is the result of a check.
type Status string

// The statuses of checks.
const (
	OK      Status = "ok"
	Warning Status = "warning" // croft runs, with less
	Missing Status = "missing" // no VPS can run here
)

// A Check is one thing that croft needs or could use. Its JSON keys are
// stable: docs/state.md.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Found  string `json:"found"`            // what there is
	For    string `json:"for"`              // what it is for
	Remedy string `json:"remedy,omitempty"` // the command that mends it
}

// Checks says what facts mean, in the order in which one would read it: what
// everything rests on comes first.
func Checks(f Facts) []Check {
	var all []Check
	for _, rule := range rules() {
		all = append(all, rule(f)...)
	}
	return all
}

// A rule judges one sort of thing. There is one line for each thing, and none
// for what this host cannot have.
type rule func(Facts) []Check

// rules are all rules. To look at one thing more, write one and name it here.
func rules() []rule {
	return slices.Concat(foundationRules(), cgroupRules(), networkRules(), resourceRules())
}

// Lacking returns the names of the failed checks without which no VPS can run.
func Lacking(checks []Check) []string {
	var names []string
	for _, c := range checks {
		if c.Status == Missing {
			names = append(names, c.Name)
		}
	}
	return names
}

// good is a check that has come out well.
func good(name, what, found string) []Check {
	return []Check{{Name: name, Status: OK, For: what, Found: found}}
}

// bad is a check that has not.
func bad(status Status, name, what, found, remedy string) []Check {
	return []Check{{Name: name, Status: status, For: what, Found: found, Remedy: remedy}}
}

// tried is the check of something that was tried: why is the reason of its
// failure, or "".
func tried(status Status, name, what, why, remedy string) []Check {
	if why == "" {
		return good(name, what, "works")
	}
	return bad(status, name, what, why, remedy)
}

// install is the command that installs packages: those of apt-get, dnf, apk,
// pacman and zypper, in this order.
func (f Facts) install(packages [5]string) string {
	commands := []string{"apt-get install", "dnf install", "apk add", "pacman -S", "zypper install"}
	for i, command := range commands {
		if name, _, _ := strings.Cut(command, " "); name == f.Packager {
			return command + " " + packages[i]
		}
	}
	return "install " + packages[0]
}
