package guest

import (
	"slices"
	"strings"
)

// tmp bounds the tmpfs on /tmp that systemd mounts in some distributions. Its own size is
// half of the host's memory: an ordinary user who fills it would end the VPS. A size
// that the user has chosen stays.
func tmp(w *writer, s Settings) {
	const dropIn = "etc/systemd/system/tmp.mount.d/10-croft.conf"
	if s.TmpSize == "" || !w.tmpIsUnbounded() {
		w.drop(dropIn)
		return
	}
	w.put(dropIn, 0o644, "# The size follows the memory of the VPS. A file with a later name wins.\n"+
		"[Mount]\nOptions=mode=1777,strictatime,nosuid,nodev,"+s.TmpSize+"\n")
}

// tmpIsUnbounded reports whether systemd mounts a tmpfs on /tmp with the size that
// comes from the distribution.
func (w *writer) tmpIsUnbounded() bool {
	for line := range strings.Lines(string(w.look("etc/fstab").content)) {
		if f := strings.Fields(line); len(f) >= 3 && !strings.HasPrefix(f[0], "#") && f[1] == "/tmp" {
			return f[2] == "tmpfs" && (len(f) == 3 || !strings.Contains(f[3], "size="))
		}
	}
	const unit = "systemd/system/tmp.mount"
	if own := w.look("etc/" + unit); own.exists && own.link == "" {
		text := string(own.content)
		return strings.Contains(text, "Type=tmpfs") && (!strings.Contains(text, "size=") || strings.Contains(text, "size=50%%"))
	}
	return slices.ContainsFunc([]string{"etc/", "usr/lib/", "lib/"}, func(dir string) bool { return w.has(dir + unit) })
}
