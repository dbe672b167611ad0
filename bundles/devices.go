package bundles

import (
	"path"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// devices returns the nodes that a runtime makes. In a user namespace it mounts
// the host's node of the same path instead.
func devices(s Settings) []specs.LinuxDevice {
	var all []specs.LinuxDevice
	for _, d := range s.Devices {
		if s.Size != 0 && (d.Absent || d.Source != "") {
			continue
		}
		all = append(all, specs.LinuxDevice{Path: path.Clean(d.Path), Type: d.Type, Major: d.Major, Minor: d.Minor,
			FileMode: mode(d.Mode), UID: ref(d.UID), GID: ref(d.GID)})
	}
	return all
}

// deviceMounts returns mounts of the host's nodes that have another path inside.
func deviceMounts(s Settings) []specs.Mount {
	var all []specs.Mount
	for _, d := range s.Devices {
		if s.Size != 0 && !d.Absent && d.Source != "" {
			all = append(all, specs.Mount{Destination: path.Clean(d.Path), Type: "bind", Source: d.Source, Options: []string{"bind"}})
		}
	}
	return all
}

// DeviceRules allow the nodes that a VPS has to be opened, any node to be
// made, and nothing else.
func DeviceRules(extra []Device) []specs.LinuxDeviceCgroup {
	rule := func(typ string, major, minor int64, access string) specs.LinuxDeviceCgroup {
		d := specs.LinuxDeviceCgroup{Allow: true, Type: typ, Access: access}
		if major >= 0 {
			d.Major = ref(major)
		}
		if minor >= 0 {
			d.Minor = ref(minor)
		}
		return d
	}
	rules := []specs.LinuxDeviceCgroup{
		{Allow: false, Access: "rwm"},
		rule("c", -1, -1, "m"), rule("b", -1, -1, "m"),
		rule("c", 1, 3, "rwm"),    // null
		rule("c", 1, 5, "rwm"),    // zero
		rule("c", 1, 7, "rwm"),    // full
		rule("c", 1, 8, "rwm"),    // random
		rule("c", 1, 9, "rwm"),    // urandom
		rule("c", 5, 0, "rwm"),    // tty
		rule("c", 5, 1, "rwm"),    // console
		rule("c", 5, 2, "rwm"),    // ptmx
		rule("c", 136, -1, "rwm"), // pts/*
	}
	for _, d := range extra {
		access := d.Access
		if access == "" {
			access = "rwm"
		}
		rules = append(rules, rule(d.Type, d.Major, d.Minor, access))
	}
	return rules
}
