package fit

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

const etcSysctl = "etc/sysctl.d/"

// sysctlDirs are those of sysctl.d(5). A file hides one of the same name in a later
// directory.
var sysctlDirs = []string{etcSysctl, "run/sysctl.d/", "usr/local/lib/sysctl.d/", "usr/lib/sysctl.d/", "lib/sysctl.d/"}

// An assignment is a line of a file of sysctl.d.
type assignment struct {
	key, value string // the key with dots
	optional   bool   // the line begins with "-": its failure is ignored
}

func assignments(text string) []assignment {
	var all []assignment
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		key, optional := strings.CutPrefix(strings.TrimSpace(key), "-")
		all = append(all, assignment{strings.ReplaceAll(key, "/", "."), strings.TrimSpace(value), optional})
	}
	return all
}

// sysctlFiles returns the files that count, by their paths.
func (p *planner) sysctlFiles() []string {
	var seen, files []string
	for _, dir := range sysctlDirs {
		for _, name := range p.names(strings.TrimSuffix(dir, "/")) {
			if strings.HasSuffix(name, ".conf") && !slices.Contains(seen, name) {
				seen = append(seen, name)
				files = append(files, dir+name)
			}
		}
	}
	return files
}

// PingKey is the sysctl with the groups whose users may ping (icmp(7)).
const PingKey = "net.ipv4.ping_group_range"

// PingRange is its value for all groups of a VPS with so many ids; 0: it is privileged.
func PingRange(ids uint32) string { return fmt.Sprintf("0 %d", lastGroup(ids)) }

func lastGroup(ids uint32) uint64 {
	if ids == 0 {
		return math.MaxInt32
	}
	return uint64(ids) - 1
}

// ping overrides a line for the groups whose users may ping, if it names groups that the
// VPS does not have: the kernel refuses it, and the service that sets it would fail.
// Without such a line, what the start has set stays.
func ping(p *planner) {
	const file = etcSysctl + "99-zz-croft.conf" // the last line for a key counts
	last := lastGroup(p.IDs)
	for _, path := range append(p.sysctlFiles(), "etc/sysctl.conf") {
		text, err := p.read(path)
		if err != nil {
			continue
		}
		if slices.ContainsFunc(assignments(text), func(a assignment) bool {
			return a.key == PingKey && !a.optional && above(a.value, last)
		}) {
			p.edit(Write, file, 0o644, fmt.Sprintf("# %s: the VPS does not have the groups of %s.\n-%s = %s\n", marker, "/"+path, PingKey, PingRange(p.IDs)))
			return
		}
	}
}

// above reports whether a range of groups, "FIRST LAST", leads beyond last.
func above(value string, last uint64) bool {
	return slices.ContainsFunc(strings.Fields(value), func(word string) bool {
		n, err := strconv.ParseUint(word, 10, 64)
		return err == nil && n > last
	})
}

// sysctl hides files of packages that have only settings of the host, all of which a VPS
// is refused.
func sysctl(p *planner) {
	for _, path := range p.sysctlFiles() {
		if strings.HasPrefix(path, etcSysctl) || strings.HasPrefix(path, "run/") {
			continue
		}
		text, err := p.read(path)
		if err != nil {
			continue
		}
		all := assignments(text)
		if len(all) > 0 && !slices.ContainsFunc(all, func(a assignment) bool { return !ofTheHost(a.key) }) {
			p.edit(Link, etcSysctl+path[strings.LastIndexByte(path, '/')+1:], 0, "/dev/null")
		}
	}
}

// ofTheHost reports whether a setting belongs to the host, and to no namespace of a VPS.
func ofTheHost(key string) bool {
	for _, prefix := range []string{"kernel.domainname", "kernel.hostname", "kernel.msg", "kernel.sem", "kernel.shm", "kernel.ns_last_pid", "kernel.pid_max",
		"fs.mqueue.", "fs.binfmt_misc."} {
		if strings.HasPrefix(key, prefix) {
			return false
		}
	}
	return slices.ContainsFunc([]string{"kernel.", "vm.", "fs.", "dev.", "abi.", "debug."}, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}
