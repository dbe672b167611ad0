package foreign

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"croft/internal/fail"
	"croft/internal/vps"
)

// incusInstance is a container in index.yaml and backup.yaml.
type incusInstance struct {
	Name            string                       `yaml:"name"`
	Description     string                       `yaml:"description"`
	Architecture    string                       `yaml:"architecture"`
	Type            string                       `yaml:"type"`
	Status          string                       `yaml:"status"`
	Config          map[string]string            `yaml:"config"`
	ExpandedConfig  map[string]string            `yaml:"expanded_config"`
	Devices         map[string]map[string]string `yaml:"devices"`
	ExpandedDevices map[string]map[string]string `yaml:"expanded_devices"`
}

// incusBackup is index.yaml, in which the rest is below config, or backup.yaml.
type incusBackup struct {
	Name      string         `yaml:"name"`
	Type      string         `yaml:"type"`
	Optimized bool           `yaml:"optimized"`
	Snapshots []any          `yaml:"snapshots"`
	Instance  *incusInstance `yaml:"instance"`
	Container *incusInstance `yaml:"container"` // LXD, and Incus up to 6
	Config    *incusBackup   `yaml:"config"`
}

// ErrNoContainer is the error for a file of Incus that has no settings of a container, such
// as the index.yaml of older versions.
var ErrNoContainer = errors.New("it has no container")

// instance is the container itself.
func (b *incusBackup) instance() *incusInstance {
	switch {
	case b == nil:
		return nil
	case b.Instance != nil:
		return b.Instance
	case b.Container != nil:
		return b.Container
	}
	return b.Config.instance()
}

// parseIncus reads index.yaml or backup.yaml of a backup of Incus or LXD.
func (s *System) parseIncus(text []byte) error {
	var b incusBackup
	if err := yaml.Unmarshal(text, &b); err != nil {
		return fail.New(fail.Usage, "it is not a configuration of Incus: %s", clean(strings.TrimPrefix(err.Error(), "yaml: ")))
	}
	if b.Type == "virtual-machine" {
		return fail.New(fail.Usage, "it is a virtual machine of Incus, and croft has only containers")
	}
	if b.Optimized {
		return fail.New(fail.Usage, "it is an optimized backup of Incus, which only its storage can read: make one without --optimized-storage")
	}
	in := b.instance()
	if in == nil {
		return fail.New(fail.Usage, "it is not a configuration of Incus: %w", ErrNoContainer)
	}
	if in.Type == "virtual-machine" {
		return fail.New(fail.Usage, "it is a virtual machine of Incus, and croft has only containers")
	}
	if s.Name = in.Name; s.Name == "" {
		s.Name = b.Name
	}
	s.Architecture = in.Architecture
	s.description("description", in.Description)
	config, devices := in.ExpandedConfig, in.ExpandedDevices
	if len(config) == 0 {
		config = in.Config
	}
	if len(devices) == 0 {
		devices = in.Devices
	}
	if len(b.Snapshots) > 0 {
		s.left("snapshots", "", "croft takes only the present state")
	}
	for _, key := range slices.Sorted(maps.Keys(config)) {
		s.incusKey(key, config[key])
	}
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		s.incusDevice(name, devices[name], config)
	}
	return nil
}

func (s *System) incusKey(key, value string) {
	if name, ok := strings.CutPrefix(key, "environment."); ok {
		s.env(key, name+"="+value)
		return
	}
	if name, ok := strings.CutPrefix(key, "linux.sysctl."); ok {
		s.sysctl(key, name, value)
		return
	}
	if s.incusGroup(key, value) {
		return
	}
	switch key {
	case "limits.memory":
		n, ok := size(value, 1000)
		s.limit(key, value, n, ok, setMemory)
	case "limits.memory.swap":
		switch value {
		case "true":
		case "false":
			s.limit(key, value, orNoSwap(0), true, setSwap)
		default:
			n, ok := size(value, 1000)
			s.limit(key, value, orNoSwap(n), ok, setSwap)
		}
	case "limits.cpu":
		s.incusCPUs(key, value)
	case "limits.cpu.allowance":
		s.incusAllowance(key, value)
	case "limits.disk.priority":
		s.incusPriority(key, value)
	case "limits.processes":
		n, ok := integer(value)
		s.limit(key, value, n, ok, setPIDs)
	case "boot.autostart":
		s.onBoot(truth(value))
	case "boot.autostart.priority":
		if n, ok := integer(value); ok && n >= 0 && n < 1<<31 {
			s.take(key, value, vps.SetBootOrder{Order: int(n)})
		}
	case "boot.host_shutdown_timeout":
		if n, ok := integer(value); ok && n > 0 && n < 1<<30 {
			s.take(key, value, vps.SetStopTimeout{Timeout: time.Duration(n) * time.Second})
		}
	case "boot.autorestart":
		if truth(value) {
			s.take(key, value, vps.SetRestart{Restart: vps.Restart{When: vps.RestartOnFailure}})
		}
	case "security.protection.delete":
		s.VPS.Protected = truth(value)
	case "security.privileged":
		if truth(value) {
			s.left(key, value, "the VPS is not privileged; --privileged gives root inside the power of root of the host")
		}
	case "security.nesting", "security.guestapi", "security.devlxd", "limits.memory.enforce", "limits.memory.swap.priority", "limits.cpu.priority", "security.secureboot", "boot.stop.priority":
	case "oci.entrypoint":
		s.Program.Command = strings.Fields(value)
	case "oci.cwd":
		s.Program.Dir = value
	case "oci.uid":
		s.Program.User = value
	case "raw.lxc":
		for line := range lines(value, "#") {
			k, v, _ := strings.Cut(line, "=")
			s.lxcKey(strings.TrimSpace(k), strings.TrimSpace(v))
		}
		s.finishLXC()
	default:
		if strings.HasPrefix(key, "cloud-init.") {
			return // it was used at the first boot
		}
		s.left(key, value, unknown)
	}
}

// incusGroup reads a setting of a group of which most are about Incus itself. It reports
// whether it is one.
func (s *System) incusGroup(key, value string) bool {
	for _, prefix := range []string{"image.", "volatile.", "migration.", "cluster.", "security.syscalls.", "security.idmap.", "snapshots.", "user."} {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		switch {
		case key == "volatile.last_state.idmap" || key == "volatile.idmap.current" && s.IDs.Size == 0:
			s.incusIDs(value)
		case prefix == "user." && !strings.HasPrefix(key, "user.network-config") && !strings.HasPrefix(key, "user.user-data") && !strings.HasPrefix(key, "user.vendor-data") && !strings.HasPrefix(key, "user.meta-data"):
			s.take(key, value, vps.SetLabel{Key: strings.TrimPrefix(key, "user."), Value: value})
		case prefix == "snapshots." && strings.HasPrefix(key, "snapshots.schedule") && value != "":
			s.left(key, value, "croft snapshot schedule makes a timer")
		case prefix == "security.syscalls.":
			s.left(key, value, "croft has a filter of its own for every VPS")
		}
		return true
	}
	return false
}

// incusIDs reads the ids of the host that the files have on its disk.
func (s *System) incusIDs(value string) {
	var all []struct {
		Hostid, Nsid, Maprange int64
	}
	if json.Unmarshal([]byte(value), &all) != nil {
		return
	}
	for _, m := range all {
		if m.Nsid == 0 && m.Hostid > 0 && m.Hostid < 1<<32 && m.Maprange > 0 && m.Maprange < 1<<32 {
			s.IDs = vps.IDRange{First: uint32(m.Hostid), Size: uint32(m.Maprange)}
			return
		}
	}
}

// incusCPUs reads a number of CPUs, or a list of them.
func (s *System) incusCPUs(key, value string) {
	set := value
	if n, ok := integer(value); ok {
		if n < 1 || n > 8192 {
			s.left(key, value, unread)
			return
		}
		set = vps.AnyCPUs(int(n))
	}
	s.take(key, value, setting(func(v *vps.VPS) { v.Limits.CPUSet = set }))
}

// incusAllowance reads 50% (a share when CPUs are busy) or 25ms/100ms (a limit).
func (s *System) incusAllowance(key, value string) {
	if text, ok := strings.CutSuffix(value, "%"); ok {
		n, ok := integer(text)
		s.limit(key, value, weight(n, 100), ok && n > 0, setWeight)
		return
	}
	part, whole, _ := strings.Cut(value, "/")
	a, err1 := time.ParseDuration(part)
	b, err2 := time.ParseDuration(whole)
	if err1 != nil || err2 != nil || a <= 0 || b <= 0 {
		s.left(key, value, unread)
		return
	}
	s.limit(key, value, int64(float64(a)/float64(b)*1000), true, setCPUs)
}

// incusPriority reads 0 to 10. croft has weights, and 5 or no value is the default.
func (s *System) incusPriority(key, value string) {
	n, ok := integer(value)
	if !ok || n < 0 || n > 10 {
		s.left(key, value, unread)
		return
	}
	s.limit(key, value, max(n*20, 10), true, setIO)
}

func (s *System) incusDevice(name string, d, config map[string]string) {
	key := "device " + name
	about := d["type"] + " " + d["source"] + d["path"]
	switch d["type"] {
	case "nic":
		s.incusNIC(name, d, config)
	case "disk":
		s.incusDisk(key, d)
	case "proxy":
		s.incusProxy(key, d)
	case "unix-char", "unix-block":
		dev := vps.Device{Source: d["source"], Path: d["path"], Optional: d["required"] == "false"}
		if dev.Source == "" {
			dev.Source = dev.Path
		}
		if dev.Path == dev.Source {
			dev.Path = ""
		}
		if mode := d["mode"]; mode != "" {
			dev.Mode = "0" + strings.TrimLeft(mode, "0")
		}
		dev.UID, _ = id(d["uid"])
		dev.GID, _ = id(d["gid"])
		s.device(key, about, dev)
	case "usb":
		if d["serial"] != "" {
			s.device(key, about, vps.Device{Source: vps.DeviceUSB + d["serial"], Optional: d["required"] != "true"})
			return
		}
		s.left(key, about, "croft finds a USB device by its serial number; --device adds one")
	case "gpu":
		s.device(key, about, vps.Device{Source: vps.DeviceGPU})
	case "none":
	default:
		s.left(key, about, missing)
	}
}

func (s *System) incusNIC(name string, d, config map[string]string) {
	key := "device " + name
	n := NIC{Key: key, Name: d["name"], Bridge: d["network"]}
	if n.Name == "" {
		n.Name = config["volatile."+name+".name"]
	}
	if n.Name == "" {
		n.Name = name
	}
	if n.Bridge == "" {
		n.Bridge = d["parent"]
	}
	mac := d["hwaddr"]
	if mac == "" {
		mac = config["volatile."+name+".hwaddr"]
	}
	if mac != "" {
		s.setMAC(&n, key+" hwaddr", mac)
	}
	s.addAddress(&n, key+" ipv4.address", d["ipv4.address"])
	s.addAddress(&n, key+" ipv6.address", d["ipv6.address"])
	n.Rate = vps.Rate{In: incusRate(d["limits.ingress"]), Out: incusRate(d["limits.egress"])}
	if both := incusRate(d["limits.max"]); both != 0 {
		n.Rate = vps.Rate{In: both, Out: both}
	}
	for _, other := range []string{"vlan", "mtu", "security.acls", "security.mac_filtering"} {
		if v := d[other]; v != "" && v != "false" {
			s.left(key, other+"="+v, "it belongs to a network of croft, or to the firewall of the VPS: croft help network create")
		}
	}
	s.NICs = append(s.NICs, n)
}

// incusRate reads 100Mbit; 0 is no limit.
func incusRate(text string) uint64 {
	text, ok := strings.CutSuffix(text, "bit")
	if !ok {
		return 0
	}
	n, ok := size(text, 1000)
	if !ok || n < vps.LeastRate || n > vps.MostRate {
		return 0
	}
	return uint64(n)
}

func (s *System) incusDisk(key string, d map[string]string) {
	if d["path"] == "/" {
		if n, ok := size(d["size"], 1000); ok && n > 0 {
			s.take(key, "size="+d["size"], setting(func(v *vps.VPS) { v.Disk.Bytes = n }))
		}
		for _, limit := range []string{"limits.read", "limits.write"} {
			s.incusIO(key+" "+limit, d[limit], limit == "limits.read")
		}
		return
	}
	if d["pool"] != "" || !strings.HasPrefix(d["source"], "/") {
		s.left(key, d["pool"]+" "+d["source"]+" "+d["path"], "it is a volume of Incus, and its files are not in the root filesystem: croft help volume create")
		return
	}
	s.mount(key, d["source"]+" "+d["path"], vps.Mount{Source: d["source"], Target: d["path"], ReadOnly: truth(d["readonly"])})
}

// incusIO reads 30MB or 100iops.
func (s *System) incusIO(key, value string, reads bool) {
	if value == "" {
		return
	}
	var l vps.IOLimit
	var ok bool
	if text, is := strings.CutSuffix(value, "iops"); is {
		l.Operations, ok = integer(text)
	} else {
		l.Bytes, ok = size(value, 1000)
	}
	s.limit(key, value, 0, ok, func(all *vps.Limits, _ int64) {
		if reads {
			all.IORead = vps.WithIO(all.IORead, l)
		} else {
			all.IOWrite = vps.WithIO(all.IOWrite, l)
		}
	})
}

// incusProxy reads listen=tcp:0.0.0.0:8080 connect=tcp:127.0.0.1:80.
func (s *System) incusProxy(key string, d map[string]string) {
	about := d["listen"] + " " + d["connect"]
	protocol, host, port, ok1 := endpoint(d["listen"])
	_, _, to, ok2 := endpoint(d["connect"])
	if !ok1 || !ok2 || d["bind"] == "instance" || d["bind"] == "guest" || d["bind"] == "container" {
		s.left(key, about, "croft publishes only TCP and UDP ports of the host")
		return
	}
	s.publish(key, about, vps.Publication{Protocol: protocol, Host: host, Ports: port, To: to})
}

// endpoint reads tcp:ADDRESS:PORT. Every address is "".
func endpoint(text string) (protocol, host, port string, ok bool) {
	protocol, rest, _ := strings.Cut(text, ":")
	n := strings.LastIndex(rest, ":")
	if n < 0 || protocol != "tcp" && protocol != "udp" {
		return "", "", "", false
	}
	host, port = strings.Trim(rest[:n], "[]"), rest[n+1:]
	if host == "0.0.0.0" || host == "::" || host == "*" {
		host = ""
	}
	return protocol, host, port, true
}
