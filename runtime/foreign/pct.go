package foreign

import (
	"net/url"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
)

// unprivilegedIDs are the ids of an unprivileged container of Proxmox VE without
// lxc.idmap.
var unprivilegedIDs = vps.IDRange{First: 100000, Size: 65536}

// parsePCT reads pct.conf(5) of Proxmox VE 4 to 9: KEY: VALUE, comments that are the
// description, and sections of snapshots.
func (s *System) parsePCT(text string) error {
	var about []string
	keys := 0
	s.VPS.Limits.Memory, s.VPS.Limits.Swap = 512<<20, 512<<20 // its defaults
	for line := range lines(text, "") {
		if comment, ok := strings.CutPrefix(line, "#"); ok {
			if words, err := url.PathUnescape(comment); err == nil {
				comment = words
			}
			about = append(about, comment)
			continue
		}
		if strings.HasPrefix(line, "[") { // the rest is about snapshots
			s.left("snapshots", strings.Trim(line, "[]"), "croft takes only the present state")
			break
		}
		key, value, ok := strings.Cut(line, ":")
		if raw, is := strings.CutPrefix(key, "lxc."); is || !ok {
			if !ok {
				if key, value, ok = strings.Cut(line, "="); !ok {
					return fail.New(fail.Usage, "it is not a configuration of Proxmox VE: %q is not KEY: VALUE", clean(line))
				}
				raw = strings.TrimPrefix(strings.TrimSpace(key), "lxc.")
			}
			s.lxcKey("lxc."+strings.TrimSpace(raw), strings.TrimSpace(value))
			continue
		}
		keys++
		s.pctKey(strings.TrimSpace(key), strings.TrimSpace(value))
	}
	if keys == 0 {
		return fail.New(fail.Usage, "it is not a configuration of Proxmox VE: it has no settings")
	}
	s.finishLXC()
	s.description("description", strings.Join(about, " "))
	return nil
}

func (s *System) pctKey(key, value string) {
	base := strings.TrimRight(key, "0123456789")
	switch {
	case base == "net" && key != base:
		s.pctNet(key, value)
		return
	case base == "mp" && key != base:
		s.pctMount(key, value)
		return
	case base == "dev" && key != base:
		s.pctDevice(key, value)
		return
	case base == "unused" && key != base:
		s.left(key, value, "it is a volume of Proxmox that the container does not use")
		return
	}
	switch key {
	case "arch":
		s.Architecture = value
	case "ostype", "cmode", "console", "tty", "digest", "lock", "parent", "debug": // they say nothing about the VPS
	case "hostname":
		s.hostname(key, value)
	case "memory":
		n, ok := size(value, 1024)
		s.limit(key, value, n<<20, ok && n < 1<<40, setMemory)
	case "swap":
		n, ok := size(value, 1024)
		s.limit(key, value, orNoSwap(n<<20), ok && n < 1<<40, setSwap)
	case "cores", "cpulimit":
		n, ok := milli(value)
		if was := s.VPS.Limits.MilliCPUs; n == 0 || was != 0 && was < n {
			n = was
		}
		s.limit(key, value, n, ok, setCPUs)
	case "cpuunits":
		n, ok := integer(value)
		if n == 1024 { // the default of cgroup version 1
			n = vps.DefaultWeight
		}
		s.limit(key, value, n, ok, setWeight)
	case "rootfs":
		s.pctRootfs(key, value)
	case "nameserver":
		s.servers(key, strings.FieldsFunc(value, isSeparator))
	case "searchdomain":
		s.search(key, strings.FieldsFunc(value, isSeparator))
	case "onboot":
		s.onBoot(truth(value))
	case "protection":
		s.VPS.Protected = truth(value)
	case "startup":
		s.pctStartup(key, value)
	case "description":
		s.description(key, value)
	case "unprivileged":
		if truth(value) && s.IDs.Size == 0 {
			s.IDs = unprivilegedIDs
		}
	case "features":
		s.pctFeatures(key, value)
	case "tags":
		for tag := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ';' || isSeparator(r) }) {
			s.take(key, tag, vps.SetLabel{Key: tag})
		}
	case "hookscript":
		s.left(key, value, otherTool)
	case "timezone":
		s.left(key, value, "the files of the container have it; --timezone sets it")
	case "template":
		if truth(value) {
			s.left(key, value, "the VPS is an ordinary one; croft template create makes a template of it")
		}
	case "entrypoint":
		s.Program.Entrypoint = strings.Fields(value)
	case "env":
		for text := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == 0 }) {
			s.env(key, text)
		}
	default:
		s.left(key, value, unknown)
	}
}

func isSeparator(r rune) bool { return r == ' ' || r == ',' || r == '\t' || r == ';' }

// pctNet reads net0: name=eth0,bridge=vmbr0,ip=10.1.4.7/16,...
func (s *System) pctNet(key, value string) {
	o := options(value)
	n := NIC{Key: key, Name: o["name"], Bridge: o["bridge"]}
	if o["link_down"] == "1" {
		s.left(key, "link_down=1", "its link was down; the VPS has it up")
	}
	if o["hwaddr"] != "" {
		s.setMAC(&n, key+" hwaddr", o["hwaddr"])
	}
	s.addAddress(&n, key+" ip", o["ip"])
	s.addAddress(&n, key+" ip6", o["ip6"])
	if rate, ok := milli(o["rate"]); ok && rate > 0 { // in megabytes per second
		bits := uint64(rate) * 8 * 1000
		n.Rate = vps.Rate{In: bits, Out: bits}
	}
	for _, other := range []string{"tag", "trunks", "mtu", "host-managed"} {
		if v := o[other]; v != "" {
			s.left(key, other+"="+v, "it belongs to a network of croft: croft help network create")
		}
	}
	if o["firewall"] == "1" {
		s.left(key, "firewall=1", "croft does not read the rules of Proxmox: croft help firewall")
	}
	s.NICs = append(s.NICs, n)
}

// pctMount reads mp0: /srv/data,mp=/data,ro=1, or a volume.
func (s *System) pctMount(key, value string) {
	o := options(value)
	source := o["volume"]
	if source == "" {
		source = o[""]
	}
	if !strings.HasPrefix(source, "/") || strings.HasPrefix(source, "/dev/") {
		reason := "it is a volume of Proxmox, and its files are not in the root filesystem: croft help volume create"
		if o["backup"] == "1" {
			reason = "it is a volume of Proxmox; in a backup of vzdump its files are part of the root filesystem"
		}
		s.left(key, value, reason)
		return
	}
	s.mount(key, value, vps.Mount{Source: source, Target: o["mp"], ReadOnly: o["ro"] == "1", NoExec: strings.Contains(o["mountoptions"], "noexec")})
}

// pctRootfs reads rootfs: local:101/vm-101-disk-0.raw,size=8G.
func (s *System) pctRootfs(key, value string) {
	o := options(value)
	if n, ok := size(o["size"], 1024); ok && n > 0 {
		s.take(key, "size="+o["size"], setting(func(v *vps.VPS) { v.Disk.Bytes = n }))
	}
	if volume := o[""]; strings.HasPrefix(volume, "/") && !strings.HasPrefix(volume, "/dev/") {
		s.Rootfs = volume
		return
	}
	s.NoRootfs = "the root filesystem is a volume of Proxmox: make a backup with vzdump, or mount it with \"pct mount\" and give --rootfs /var/lib/lxc/CTID/rootfs"
}

// pctDevice reads dev0: /dev/ttyUSB0,uid=0,gid=20,mode=0660.
func (s *System) pctDevice(key, value string) {
	o := options(value)
	d := vps.Device{Source: o["path"], Mode: o["mode"]}
	if d.Source == "" {
		d.Source = o[""]
	}
	if len(d.Mode) == 3 {
		d.Mode = "0" + d.Mode
	}
	if truth(o["deny-write"]) {
		d.Access = "rm"
	}
	d.UID, _ = id(o["uid"])
	d.GID, _ = id(o["gid"])
	s.device(key, value, d)
}

// pctStartup reads startup: order=3,up=30,down=60.
func (s *System) pctStartup(key, value string) {
	o := options(value)
	if n, ok := integer(o["order"]); ok && n >= 0 && n < 10000 {
		// The lowest order starts first there, the highest here.
		s.take(key, "order="+o["order"], vps.SetBootOrder{Order: int(10000 - n)})
	}
	if n, ok := integer(o["down"]); ok && n > 0 && n < 1<<30 {
		s.take(key, "down="+o["down"], vps.SetStopTimeout{Timeout: time.Duration(n) * time.Second})
	}
	if up := o["up"]; up != "" && up != "0" {
		s.left(key, "up="+up, missing)
	}
}

// pctFeatures reads features: nesting=1,fuse=1. Every VPS has most of them.
func (s *System) pctFeatures(key, value string) {
	for word := range strings.SplitSeq(value, ",") {
		name, v, _ := strings.Cut(word, "=")
		switch name {
		case "nesting", "keyctl", "fuse", "mknod":
		default:
			s.left(key, name+"="+v, "a VPS cannot mount file systems of devices or of the network")
		}
	}
}
