package guest

import (
	"slices"
	"strings"
)

// fstab lets a system boot without a failed unit if its /etc/fstab has a line
// for / or /usr, as on a machine. Such a mount belongs to the host, and the VPS
// cannot remount it. systemd-remount-fs still applies the options of /proc,
// /dev/shm and similar mounts.
func fstab(w *writer, _ Settings) {
	const dropIn = "etc/systemd/system/systemd-remount-fs.service.d/croft.conf"
	for _, dir := range []string{"usr/lib/systemd/", "lib/systemd/"} {
		if w.has(dir+"systemd-remount-fs") && ofTheHost(string(w.look("etc/fstab").content)) {
			w.put(dropIn, 0o644, "# The root filesystem is the host's to remount: a failure is ignored.\n"+
				"[Service]\nExecStart=\nExecStart=-/"+dir+"systemd-remount-fs\n")
			return
		}
	}
	w.drop(dropIn)
}

// ofTheHost reports whether a file like /etc/fstab has a line for a mount that the
// host has made.
func ofTheHost(text string) bool {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && !strings.HasPrefix(fields[0], "#") && slices.Contains([]string{"/", "/usr"}, fields[1]) {
			return true
		}
	}
	return false
}
