package foreign

import (
	"path"
	"slices"
	"strings"

	"croft/internal/fail"
	"croft/internal/vps"
)

// parseNspawn reads systemd.nspawn(5). An empty file is valid: it has the defaults.
func (s *System) parseNspawn(text string) error {
	section, private := "", false
	nic := NIC{Key: "Network", Name: "host0"}
	boot := true
	for line := range lines(text, "#;") {
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || section == "" {
			return fail.New(fail.Usage, "it is not a configuration of systemd-nspawn: %q", clean(line))
		}
		switch section {
		case "Exec":
			if key == "Boot" {
				boot = truth(value)
			} else {
				s.nspawnExec(key, value)
			}
		case "Files":
			s.nspawnFiles(key, value)
		case "Network":
			private = s.nspawnNetwork(&nic, key, value) || private
		default:
			s.left(section+" "+key, value, unknown)
		}
	}
	if boot {
		s.Program.Command = nil // they are arguments of its init
	}
	if private {
		s.NICs = append(s.NICs, nic)
	} else {
		s.HostNetwork = len(s.NICs) == 0
	}
	if s.Name != "" && s.Rootfs == "" {
		s.Rootfs = path.Join("/var/lib/machines", path.Base(s.Name))
	}
	return nil
}

func (s *System) nspawnExec(key, value string) {
	switch key {
	case "Hostname":
		s.hostname(key, value)
	case "Parameters":
		s.Program.Command = strings.Fields(value)
	case "Environment":
		s.env(key, strings.Trim(value, `"`))
	case "User":
		s.Program.User = value
	case "WorkingDirectory":
		s.Program.Dir = value
	case "KillSignal":
		s.Program.StopSignal = value
	case "Capability", "DropCapability":
		for name := range strings.FieldsSeq(value) {
			if strings.EqualFold(name, "all") {
				name = vps.AllCapabilities
			}
			s.capability(key, name, key == "Capability")
		}
	case "CPUAffinity":
		set := strings.Join(strings.Fields(value), ",")
		s.take(key, value, setting(func(v *vps.VPS) { v.Limits.CPUSet = set }))
	case "PrivateUsers":
		s.nspawnIDs(key, value)
	case "ProcessTwo", "NotifyReady", "LinkJournal", "ResolvConf", "Timezone", "Personality", "MachineID", "PrivateUsersOwnership", "SuppressSync", "PivotRoot":
		if key == "PivotRoot" {
			s.left(key, value, missing)
		}
	case "Ephemeral":
		if truth(value) {
			s.left(key, value, "the VPS keeps its files; croft run --rm makes a VPS for one command")
		}
	case "NoNewPrivileges", "SystemCallFilter", "OOMScoreAdjust":
		s.left(key, value, missing)
	default:
		if strings.HasPrefix(key, "Limit") {
			s.left(key, value, "limits of processes are settings of the system inside")
			return
		}
		s.left(key, value, unknown)
	}
}

// nspawnIDs reads the ids of the host: a number, and how many. With "pick" and "yes" only
// the files say which.
func (s *System) nspawnIDs(key, value string) {
	first, n, ranged := strings.Cut(value, ":")
	from, ok := id(first)
	if !ok || from == 0 {
		return
	}
	ids := vps.IDRange{First: from, Size: 65536}
	if ranged {
		if ids.Size, ok = id(n); !ok {
			s.left(key, value, unread)
			return
		}
	}
	s.IDs = ids
}

func (s *System) nspawnFiles(key, value string) {
	switch key {
	case "Bind", "BindReadOnly":
		source, rest, ok := strings.Cut(strings.TrimPrefix(value, "-"), ":")
		target, _, _ := strings.Cut(rest, ":") // the rest are options of the mount
		if !ok {
			target = source
		}
		if strings.HasPrefix(source, "/dev/") {
			d := vps.Device{Source: source}
			if target != source {
				d.Path = target
			}
			s.device(key, value, d)
			return
		}
		if strings.HasPrefix(source, "+") || source == "" {
			s.left(key, value, "it is a directory of the container itself")
			return
		}
		s.mount(key, value, vps.Mount{Source: source, Target: target, ReadOnly: key == "BindReadOnly"})
	case "TemporaryFileSystem":
		target, with, _ := strings.Cut(value, ":")
		m := vps.Mount{Kind: vps.MountTmpfs, Target: target}
		o := options(with)
		m.Size, _ = size(o["size"], 1024)
		if m.Mode = o["mode"]; slices.Contains(strings.Split(with, ","), "ro") {
			m.ReadOnly = true
		}
		s.mount(key, value, m)
	case "PrivateUsersOwnership", "PrivateUsersChown":
	case "ReadOnly", "Volatile":
		if value != "no" && value != "false" {
			s.left(key, value, "the files of a VPS can be written, and stay")
		}
	default:
		s.left(key, value, missing)
	}
}

// nspawnNetwork reads settings of the network. It reports whether the container has an
// interface of its own.
func (s *System) nspawnNetwork(nic *NIC, key, value string) (private bool) {
	switch key {
	case "Private":
		if !truth(value) {
			return false
		}
		s.HostNetwork = false
		return true
	case "VirtualEthernet":
		return truth(value)
	case "Bridge", "Zone":
		if nic.Bridge = value; key == "Zone" {
			nic.Bridge = "vz-" + value
		}
		return true
	case "VirtualEthernetExtra", "Interface", "MACVLAN", "IPVLAN":
		s.left(key, value, "the interface is on a network of croft instead: croft help network create")
		return true
	case "Port":
		s.nspawnPort(key, value)
	case "NamespacePath":
		s.left(key, value, missing)
	default:
		s.left(key, value, unknown)
	}
	return false
}

// nspawnPort reads tcp:8080:80, 8080:80 or 8080.
func (s *System) nspawnPort(key, value string) {
	protocol, rest, ok := strings.Cut(value, ":")
	if protocol != "tcp" && protocol != "udp" {
		protocol, rest, ok = "tcp", value, true
	}
	host, inside, mapped := strings.Cut(rest, ":")
	if !mapped {
		inside = host
	}
	if !ok {
		s.left(key, value, unread)
		return
	}
	s.publish(key, value, vps.Publication{Protocol: protocol, Ports: host, To: inside})
}
