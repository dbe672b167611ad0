package fit

import (
	"fmt"
	"strconv"
	"strings"

	"croft/internal/initkind"
)

// OOMScore is by how much the processes of a VPS have a higher oom_score_adj than its
// init (proc_pid_oom_score_adj(5)): a tenth of the memory that the VPS may use.
const OOMScore = 100

// defaultOOMScore is the first version of systemd that has DefaultOOMScoreAdjust=
// (systemd-system.conf(5)).
const defaultOOMScore = 250

// oom has systemd start everything with a higher score than its own. Units with a score
// of their own keep it.
func oom(p *planner) {
	const key, dir = "DefaultOOMScoreAdjust", "systemd/system.conf"
	const file = "etc/" + dir + ".d/10-croft.conf" // files of the owner, with later names, win
	if p.Init != initkind.Systemd || p.systemdVersion() < defaultOOMScore || p.has(file) {
		return
	}
	for _, above := range []string{"etc/", "usr/local/lib/", "usr/lib/"} {
		files := []string{above + dir}
		for _, name := range p.names(above + dir + ".d") {
			files = append(files, above+dir+".d/"+name)
		}
		for _, f := range files {
			if text, err := p.read(f); err == nil && hasKey(text, key) {
				return
			}
		}
	}
	p.edit(Write, file, 0o644, fmt.Sprintf("# %s: without memory, Linux kills a service before systemd.\n[Manager]\n%s=%d\n", marker, key, OOMScore))
}

// hasKey reports whether a configuration file of systemd sets key.
func hasKey(text, key string) bool {
	for line := range strings.Lines(text) {
		if name, _, is := strings.Cut(line, "="); is && strings.TrimSpace(name) == key {
			return true
		}
	}
	return false
}

// systemdVersion returns the version of systemd; 0 if it is unknown. The name of its
// library has it: libsystemd-shared-257.so, libsystemd-shared-258.2-1.fc43.so.
func (p *planner) systemdVersion() int {
	dirs := []string{"usr/lib/systemd", "usr/lib64/systemd", "lib/systemd"}
	for _, name := range p.names("usr/lib") {
		if strings.Contains(name, "-linux-") { // x86_64-linux-gnu
			dirs = append(dirs, "usr/lib/"+name+"/systemd")
		}
	}
	for _, dir := range dirs {
		for _, name := range p.names(dir) {
			rest, is := strings.CutPrefix(name, "libsystemd-shared-")
			if !is {
				continue
			}
			digits := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
			if n, err := strconv.Atoi(rest[:max(digits, 0)]); err == nil {
				return n
			}
		}
	}
	return 0
}
