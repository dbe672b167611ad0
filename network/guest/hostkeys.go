package guest

import (
	"io/fs"
	"strings"
)

// hostKeys has an sshd that has no host keys make them before it starts. Debian
// makes them when the package is installed, and at no other time; a template
// of a VPS has none. Distributions whose service makes them have no unit of
// that name.
func hostKeys(w *writer, s Settings) {
	const dropIn = "etc/systemd/system/ssh.service.d/croft-host-keys.conf"
	if !w.program("sshd") || !w.has("usr/bin/ssh-keygen") {
		w.drop(dropIn)
		return
	}
	if keys, err := fs.Glob(w.root, "etc/ssh/ssh_host_*_key"); err != nil || len(keys) > 0 {
		return // a drop-in that is there does no harm
	}
	if w.has("usr/lib/systemd/system/ssh.service", "lib/systemd/system/ssh.service") {
		w.put(dropIn, 0o644, "[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n")
	}
	const defaults = "etc/default/ssh" // which the script /etc/init.d/ssh reads
	if now := w.look(defaults); s.Init == InitSysVinit && now.usable && !strings.Contains(string(now.content), "ssh-keygen -A") {
		text := string(now.content)
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		w.write(now, defaults, 0o644, text+"/usr/bin/ssh-keygen -A >/dev/null # "+marker+"\n")
	}
}
