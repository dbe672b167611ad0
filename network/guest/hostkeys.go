package guest

import (
	"io/fs"
	"strings"
)

// A keyMaker makes the host keys of a server for ssh. Debian makes them when the package is
// installed, and at no other time; a template of a VPS has none. Distributions whose
// service makes them have no unit of that name, and no such file of defaults.
type keyMaker struct {
	server   string
	maker    string
	keys     string // pattern of private keys
	unit     string
	drop     string // what the unit gets
	defaults string // which scripts of /etc/init.d, and invoke-run(8) of Debian's runit, read
	make     string // that makes the keys; marks is a part of it
	marks    string
}

var keyMakers = []keyMaker{
	{
		server: "sshd", maker: "ssh-keygen", keys: "etc/ssh/ssh_host_*_key", unit: "ssh.service", defaults: "etc/default/ssh",
		drop:  "ExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n",
		make:  "/usr/bin/ssh-keygen -A >/dev/null",
		marks: "ssh-keygen -A",
	},
	{
		server: "dropbear", maker: "dropbearkey", keys: "etc/dropbear/dropbear_*_host_key", unit: "dropbear.service", defaults: "etc/default/dropbear",
		drop:  "ExecStartPre=/bin/sh -c 'for t in rsa ecdsa ed25519; do f=/etc/dropbear/dropbear_$${t}_host_key; test -e $$f || dropbearkey -t $$t -f $$f >/dev/null 2>&1; done'\n",
		make:  "for t in rsa ecdsa ed25519; do f=/etc/dropbear/dropbear_${t}_host_key; test -e $f || dropbearkey -t $t -f $f >/dev/null 2>&1; done",
		marks: "dropbearkey",
	},
}

// hostKeys has servers for ssh that have no host keys make them before they start.
func hostKeys(w *writer, s Settings) {
	for _, m := range keyMakers {
		m.give(w, s)
	}
}

func (m keyMaker) give(w *writer, s Settings) {
	dropIn := "etc/systemd/system/" + m.unit + ".d/croft-host-keys.conf"
	if !w.program(m.server) || !w.has("usr/bin/"+m.maker) {
		w.drop(dropIn)
		return
	}
	if keys, err := fs.Glob(w.root, m.keys); err != nil || len(keys) > 0 {
		return // a drop-in that is there does no harm
	}
	if w.has("usr/lib/systemd/system/"+m.unit, "lib/systemd/system/"+m.unit) {
		w.put(dropIn, 0o644, "[Service]\n"+m.drop)
	}
	byScript := s.Init == InitSysVinit || s.Init == InitRunit || s.Init == InitOpenRC
	now := w.look(m.defaults)
	if !byScript || !now.usable || strings.Contains(string(now.content), m.marks) || !w.has("etc/init.d/"+m.server, "etc/init.d/"+strings.TrimSuffix(m.unit, ".service")) {
		return
	}
	text := string(now.content)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	w.write(now, m.defaults, 0o644, text+m.make+" # "+marker+"\n")
}
