package foreign

import (
	"math"
	"net/url"
	"path"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
)

// vzPage is the unit of memory in the parameters of OpenVZ, in bytes.
const vzPage = 4096

// parseOpenVZ reads CTID.conf(5) of vzctl 3 and 4: KEY="VALUE", as in a shell.
func (s *System) parseOpenVZ(text string) error {
	keys := 0
	for line := range lines(text, "#") {
		key, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		if !ok || key == "" || strings.ContainsAny(key, " \t:.[") {
			return fail.New(fail.Usage, "it is not a configuration of OpenVZ: %q is not KEY=\"VALUE\"", clean(line))
		}
		keys++
		value = strings.TrimSpace(value)
		if len(value) > 1 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
			value = value[1 : len(value)-1]
		}
		s.vzKey(key, strings.TrimSpace(value))
	}
	if keys == 0 {
		return fail.New(fail.Usage, "it is not a configuration of OpenVZ: it has no settings")
	}
	if len(s.NICs) == 0 { // venet without an address
		s.NICs = append(s.NICs, NIC{Key: "venet0", Name: "venet0"})
	}
	return nil
}

// vzMost is the largest number in a configuration of OpenVZ: it means no limit.
const vzMost = math.MaxInt32

func (s *System) vzKey(key, value string) {
	switch key {
	case "VEID", "VE_ROOT", "VE_LAYOUT", "OSTEMPLATE", "ORIGIN_SAMPLE", "CONFIG_CUSTOMIZED", "DISTRIBUTION", "QUOTATIME", "QUOTAUGIDLIMIT", "DISK_QUOTA",
		"TECHNOLOGIES", "UUID", "NETFILTER", "IPTABLES", "VM_OVERCOMMIT", "DISABLED", "PPP", "FEATURES", "RATEBOUND", "MOUNT_OPTS", "IPV6":
		s.vzMinor(key, value)
	case "VE_PRIVATE":
		s.vzPrivate(value)
	case "NAME":
		if value != "" && (s.Name == "" || strings.Trim(s.Name, "0123456789") == "") {
			s.Name = value
		}
	case "HOSTNAME":
		s.hostname(key, value)
	case "DESCRIPTION":
		if words, err := url.QueryUnescape(value); err == nil {
			value = words
		}
		s.description(key, value)
	case "ONBOOT":
		s.onBoot(truth(value))
	case "BOOTORDER":
		n, ok := integer(value)
		if !ok || n < 0 || n > vzMost {
			s.left(key, value, unread)
			return
		}
		s.take(key, value, vps.SetBootOrder{Order: int(n)})
	case "STOP_TIMEOUT":
		if n, ok := integer(value); ok && n > 0 && n < vzMost {
			s.take(key, value, vps.SetStopTimeout{Timeout: time.Duration(n) * time.Second})
		}
	case "PHYSPAGES", "SWAPPAGES", "NUMPROC", "CPUS", "CPULIMIT", "CPUUNITS", "CPUMASK", "IOPRIO", "IOLIMIT", "IOPSLIMIT", "DISKSPACE", "DISKINODES":
		s.vzLimit(key, value)
	case "IP_ADDRESS":
		if value == "" {
			return
		}
		n := NIC{Key: key, Name: "venet0"}
		for a := range strings.FieldsSeq(value) {
			s.addAddress(&n, key, a)
		}
		s.NICs = append([]NIC{n}, s.NICs...)
	case "NETIF":
		for text := range strings.SplitSeq(value, ";") {
			s.vzInterface(text)
		}
	case "NAMESERVER":
		if value != "inherit" {
			s.servers(key, strings.Fields(value))
		}
	case "SEARCHDOMAIN":
		if value != "inherit" {
			s.search(key, strings.Fields(value))
		}
	case "CAPABILITY":
		for word := range strings.FieldsSeq(value) {
			name, on, _ := strings.Cut(word, ":")
			s.capability(key, name, on == "on")
		}
	case "DEVNODES":
		s.vzDevices(key, value)
	case "DEVICES":
		if value != "" {
			s.left(key, value, "the numbers of a device do not say which one it is; --device adds one")
		}
	case "RATE":
		if value != "" {
			s.left(key, value, "--rate limits the traffic")
		}
	case "NETDEV":
		if value != "" {
			s.left(key, value, "a link of the host belongs to a network of croft: croft help network create")
		}
	case "KMEMSIZE", "LOCKEDPAGES", "PRIVVMPAGES", "SHMPAGES", "VMGUARPAGES", "OOMGUARPAGES", "NUMTCPSOCK", "NUMFLOCK", "NUMPTY", "NUMSIGINFO",
		"TCPSNDBUF", "TCPRCVBUF", "OTHERSOCKBUF", "DGRAMRCVBUF", "NUMOTHERSOCK", "DCACHESIZE", "NUMFILE", "AVNUMPROC", "NUMIPTENT":
		// Limits of parts of the kernel: the limit of memory counts all of them. They have
		// no meaning with VSwap.
	default:
		s.left(key, value, unknown)
	}
}

// vzMinor is for keys that mean nothing for a VPS, or only with some values.
func (s *System) vzMinor(key, value string) {
	switch {
	case key == "DISABLED" && truth(value):
		s.left(key, value, "the container could not be started; the VPS can")
	case key == "FEATURES":
		for word := range strings.FieldsSeq(value) {
			if name, on, _ := strings.Cut(word, ":"); on == "on" && (name == "nfs" || name == "nfsd" || name == "ppp" || name == "sit" || name == "ipip") {
				s.left(key, word, missing)
			}
		}
	case key == "QUOTAUGIDLIMIT" && value != "0" && value != "":
		s.left(key, value, "a VPS has no disk quotas for its users")
	}
}

// vzPrivate reads the directory of the files.
func (s *System) vzPrivate(value string) {
	for _, name := range []string{"$VEID", "${VEID}"} {
		value = strings.ReplaceAll(value, name, s.Name)
	}
	if path.IsAbs(value) {
		s.Rootfs = path.Clean(value)
	}
}

// vzLimit reads a limit: BARRIER:LIMIT or one number.
func (s *System) vzLimit(key, value string) {
	_, hard, ok := strings.Cut(value, ":")
	if !ok {
		hard = value
	}
	plain, isNumber := integer(hard)
	if hard == "unlimited" || isNumber && plain >= vzMost || hard == "" {
		return
	}
	bytes := func(unit int64) (int64, bool) {
		if isNumber {
			return plain * unit, plain >= 0 && plain < math.MaxInt64/unit
		}
		if text, pages := strings.CutSuffix(strings.ToUpper(hard), "P"); pages { // not petabytes
			n, ok := integer(text)
			return n * vzPage, ok && n >= 0 && n < math.MaxInt64/vzPage
		}
		return size(hard, 1024)
	}
	switch key {
	case "PHYSPAGES":
		n, ok := bytes(vzPage)
		s.limit(key, value, n, ok, setMemory)
	case "SWAPPAGES":
		n, ok := bytes(vzPage)
		s.limit(key, value, orNoSwap(n), ok, setSwap)
	case "DISKSPACE":
		if n, ok := bytes(1024); !ok {
			s.left(key, value, unread)
		} else {
			s.take(key, value, setting(func(v *vps.VPS) { v.Disk.Bytes = n }))
		}
	case "DISKINODES":
		s.vzInodes(key, value, plain, isNumber)
	case "NUMPROC":
		s.limit(key, value, plain, isNumber, setPIDs)
	case "CPUS", "CPULIMIT":
		s.vzCPUs(key, value)
	case "CPUUNITS":
		s.limit(key, value, weight(plain, 1000), isNumber, setWeight)
	case "CPUMASK":
		if value != "all" && value != "auto" {
			s.take(key, value, setting(func(v *vps.VPS) { v.Limits.CPUSet = value }))
		}
	case "IOPRIO":
		weights := []int64{25, 35, 50, 70, 100, 140, 200, 280}
		if !isNumber || plain < 0 || int(plain) >= len(weights) {
			s.left(key, value, unread)
			return
		}
		s.limit(key, value, weights[plain], true, setIO)
	case "IOLIMIT", "IOPSLIMIT":
		n, ok := bytes(1)
		if n == 0 && ok {
			return
		}
		l := vps.IOLimit{Bytes: n}
		if key == "IOPSLIMIT" {
			l = vps.IOLimit{Operations: n}
		}
		s.limit(key, value, n, ok, func(all *vps.Limits, _ int64) {
			all.IORead, all.IOWrite = vps.WithIO(all.IORead, l), vps.WithIO(all.IOWrite, l)
		})
	}
}

// vzInodes takes the limit of inodes, which needs one of the disk.
func (s *System) vzInodes(key, value string, n int64, ok bool) {
	if !ok {
		s.left(key, value, unread)
		return
	}
	s.take(key, value, setting(func(v *vps.VPS) { v.Disk.Inodes = n }))
}

// vzCPUs reads the number of CPUs, or hundredths of a CPU.
func (s *System) vzCPUs(key, value string) {
	n, ok := milli(strings.TrimSuffix(value, "%"))
	if key == "CPULIMIT" {
		n /= 100
	}
	if was := s.VPS.Limits.MilliCPUs; n == 0 || was != 0 && was < n {
		n = was
	}
	s.limit(key, value, n, ok, setCPUs)
}

// vzInterface reads ifname=eth0,bridge=vmbr0,mac=00:18:51:...
func (s *System) vzInterface(text string) {
	o := options(text)
	if o["ifname"] == "" {
		return
	}
	n := NIC{Key: "NETIF", Name: o["ifname"], Bridge: o["bridge"]}
	if o["mac"] != "" {
		s.setMAC(&n, "NETIF mac", o["mac"])
	}
	for a := range strings.FieldsSeq(o["ip"]) {
		s.addAddress(&n, "NETIF ip", a)
	}
	s.NICs = append(s.NICs, n)
}

// vzDevices reads sdb1:rw net/tun:rw.
func (s *System) vzDevices(key, value string) {
	for word := range strings.FieldsSeq(value) {
		name, access, _ := strings.Cut(word, ":")
		if access == "none" {
			continue
		}
		d := vps.Device{Source: path.Clean("/dev/" + name)}
		if access == "r" {
			d.Access = "r"
		}
		s.device(key, word, d)
	}
}
