package source

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"

	"croft/runtime/foreign"
)

// runs reports whether a container on this host clearly runs. It asks the kernel and the
// files of the tool, and not its programs.
func runs(s foreign.System, path string) bool {
	switch s.Kind {
	case foreign.LXC:
		// Its monitor has the socket @LXCPATH/NAME/command.
		dir, err := filepath.Abs(path)
		if err != nil {
			return false
		}
		if info, err := os.Stat(dir); err == nil && !info.IsDir() {
			dir = filepath.Dir(dir)
		}
		return hasSocket(dir)
	case foreign.PCT:
		return hasSocket("/var/lib/lxc/" + s.Name)
	case foreign.Nspawn:
		_, err := os.Lstat("/run/systemd/machines/" + filepath.Base(s.Name))
		return err == nil && s.Name != ""
	case foreign.OpenVZ:
		text, _ := os.ReadFile("/proc/vz/veinfo") // another kernel has none
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 0 && f[0] == s.Name {
				return true
			}
		}
	}
	return false
}

// hasSocket reports whether a monitor of LXC listens for the container in dir
// (proc_net_unix(5)).
func hasSocket(dir string) bool {
	text, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return false
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if strings.HasSuffix(lines.Text(), " @"+dir+"/command") {
			return true
		}
	}
	return false
}
