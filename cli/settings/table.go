package settings

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"croft/internal/vps"
)

// All returns the table, in the order in which files show it. A new setting gets a
// row here, an option of create and one of set; tests compare the three.
func All() []Setting {
	return []Setting{
		{Key: "template", Fixed: true, Words: func(v vps.VPS) []string { return text(v.Template.Name) }},
		{Key: "privileged", Default: "no", Words: func(v vps.VPS) []string { return yes(v.Privileged) }},
		{Key: "storage", Default: "overlay", Words: func(v vps.VPS) []string { return text(string(v.Storage)) }},
		{Key: "id-size", Default: "262144", Words: func(v vps.VPS) []string { return number(int64(v.IDs.Size)) }},
		{Key: "network", Form: Members, Default: "croft0", Empty: "none", Add: "network-add", Remove: detached, Words: networks},
		{Key: "hostname", Default: "default", Words: hostname},
		{Key: "memory", Default: "default", Words: func(v vps.VPS) []string { return limit(v.Limits.Memory, size) }},
		{Key: "swap", Default: unlimited, Words: swap},
		{Key: "cpus", Default: unlimited, Words: func(v vps.VPS) []string { return cpus(v.Limits.MilliCPUs) }},
		{Key: "pids", Default: "default", Words: func(v vps.VPS) []string { return limit(v.Limits.PIDs, decimal) }},
		{Key: "disk", Default: unlimited, Words: func(v vps.VPS) []string { return sizeOf(v.Disk.Bytes) }},
		{Key: "inodes", Default: "default", Words: func(v vps.VPS) []string { return number(v.Disk.Inodes) }},
		{Key: "memory-low", Default: "default", Words: func(v vps.VPS) []string { return limit(v.Limits.MemoryLow, size) }},
		{Key: "cpu-weight", Default: "default", Words: func(v vps.VPS) []string { return number(v.Limits.CPUWeight) }},
		{Key: "cpuset", Default: unlimited, Words: func(v vps.VPS) []string { return text(v.Limits.CPUSet) }},
		{Key: "io-weight", Default: "default", Words: func(v vps.VPS) []string { return number(v.Limits.IOWeight) }},
		{Key: "io-read", Form: List, Default: unlimited, Words: func(v vps.VPS) []string { return ioLimits(v.Limits.IORead) }},
		{Key: "io-write", Form: List, Default: unlimited, Words: func(v vps.VPS) []string { return ioLimits(v.Limits.IOWrite) }},
		{Key: "ip", Form: Members, Add: "ip-add", Remove: option("ip-del"), Words: addresses},
		{Key: "rate", Form: Members, Remove: unlimitedRate, Words: rates},
		{Key: "connections", Default: "default", Words: connections},
		{Key: "publish", Form: Members, Remove: unpublished, Words: published},
		{Key: "mount", Form: Members, Add: "mount-add", Remove: removeMount, Words: mounts},
		{Key: "dns", Form: List, Default: "default", Words: func(v vps.VPS) []string { return v.DNS.Servers }},
		{Key: "search", Form: List, Default: "default", Words: func(v vps.VPS) []string { return v.DNS.Search }},
		{Key: "env", Form: Pairs, Words: func(v vps.VPS) []string { return v.Env }},
		{Key: "sysctl", Form: Pairs, Words: func(v vps.VPS) []string { return pairs(v.Sysctls) }},
		{Key: "allow", Form: Members, Words: func(v vps.VPS) []string { return v.Allow }},
		{Key: "cap-add", Form: Members, Words: func(v vps.VPS) []string { return v.CapAdd }},
		{Key: "cap-drop", Form: Members, Words: func(v vps.VPS) []string { return v.CapDrop }},
		{Key: "seccomp", Default: "default", Words: func(v vps.VPS) []string { return text(string(v.Seccomp)) }},
		{Key: "dmesg", Default: "on", Words: func(v vps.VPS) []string { return off(v.NoDmesg) }},
		{Key: "device", Form: Members, Add: "device-add", Remove: removedDevice, Words: devices},
		{Key: "onboot", Default: "last", Words: func(v vps.VPS) []string { return text(string(v.OnBoot)) }},
		{Key: "boot-order", Default: "0", Words: func(v vps.VPS) []string { return number(int64(v.BootOrder)) }},
		{Key: "stop-timeout", Default: "60s", Words: stopTimeout},
		{Key: "restart", Default: "no", Words: restart},
		{Key: "protect", Default: "no", Words: func(v vps.VPS) []string { return yes(v.Protected) }},
		{Key: "description", Default: "default", Words: func(v vps.VPS) []string { return text(v.Description) }},
		{Key: "ssh-key", Form: List},
		{Key: "timezone"},
		{Key: "locale"},
		{Key: "user-data"},
		{Key: "first-boot"},
		{Key: "fit", Default: "all", Words: func(v vps.VPS) []string { return text(string(v.Fit)) }},
		{Key: "credential", Form: Pairs},
		{Key: "label", Form: Pairs, Words: func(v vps.VPS) []string { return pairs(v.Labels) }},
	}
}

const unlimited = "unlimited"

// option returns a function that makes a word a value of the option.
func option(name string) func(string) (string, string) {
	return func(word string) (string, string) { return name, word }
}

// text is one word; none if it is empty.
func text(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func yes(on bool) []string {
	if !on {
		return nil
	}
	return []string{"yes"}
}

func off(off bool) []string {
	if !off {
		return nil
	}
	return []string{"off"}
}

// number is one word; none for 0.
func number(n int64) []string {
	if n == 0 {
		return nil
	}
	return []string{decimal(n)}
}

// sizeOf is one word; none for 0.
func sizeOf(n int64) []string {
	if n == 0 {
		return nil
	}
	return []string{size(n)}
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// limit is a limit with a default: 0 is the default, -1 unlimited.
func limit(n int64, write func(int64) string) []string {
	switch n {
	case 0:
		return nil
	case -1:
		return []string{unlimited}
	}
	return []string{write(n)}
}

func ioLimits(all []vps.IOLimit) []string {
	var words []string
	for _, l := range all {
		words = append(words, l.Words(size)...)
	}
	return words
}

// size writes bytes exactly, in the greatest unit that needs no fraction.
func size(n int64) string { return exact(n, 1024, "KMGTPE") }

func exact(n, step int64, units string) string {
	unit := ""
	for i := 0; i < len(units) && n != 0 && n%step == 0; i++ {
		n, unit = n/step, units[i:i+1]
	}
	return decimal(n) + unit
}

func restart(v vps.VPS) []string {
	if v.Restart.When == vps.RestartNo {
		return nil
	}
	return []string{v.Restart.String()}
}

// swap is unlimited by default; -1 is no swap.
func swap(v vps.VPS) []string {
	switch v.Limits.Swap {
	case 0:
		return nil
	case -1:
		return []string{"0"}
	}
	return []string{size(v.Limits.Swap)}
}

func cpus(milli int64) []string {
	if milli == 0 {
		return nil
	}
	return []string{strconv.FormatFloat(float64(milli)/1000, 'f', -1, 64)}
}

func hostname(v vps.VPS) []string {
	if v.Hostname == string(v.Name) {
		return nil
	}
	return text(v.Hostname)
}

// networks are those of the interfaces, with the name and the MAC that were chosen.
func networks(v vps.VPS) []string {
	var all []string
	for _, a := range v.Attachments() {
		all = append(all, a.Text())
	}
	if all == nil {
		return []string{"none"}
	}
	return all
}

// detached is the option that removes a network.
func detached(word string) (option, value string) {
	name, _, _ := strings.Cut(word, ":")
	return "network-del", name
}

// addresses are those of all interfaces. The interface is named if the address alone
// would mean another one.
func addresses(v vps.VPS) []string {
	var all []string
	for n, i := range v.Interfaces {
		for _, a := range i.Addresses {
			text := vps.AddAddress{Address: a}
			if v.AddressInterface(a) != n {
				text.Interface = i.Name
			}
			all = append(all, text.Text())
		}
	}
	return all
}

// rates are INTERFACE:in=RATE,out=RATE for each interface with a rate.
func rates(v vps.VPS) []string {
	var all []string
	for _, i := range v.Interfaces {
		if i.Rate != (vps.Rate{}) {
			all = append(all, fmt.Sprintf("%s:in=%s,out=%s", i.Name, rate(i.Rate.In), rate(i.Rate.Out)))
		}
	}
	return all
}

func rate(bits uint64) string {
	if bits == 0 {
		return unlimited
	}
	return exact(int64(bits), 1000, "KMGT")
}

// unlimitedRate is the option that removes a rate.
func unlimitedRate(word string) (option, value string) {
	name, _, _ := strings.Cut(word, ":")
	return "rate", name + ":" + unlimited
}

// connections is the limit that all interfaces have. If they differ, there is no
// option that gives each its own.
func connections(v vps.VPS) []string {
	if len(v.Interfaces) == 0 {
		return nil
	}
	n := v.Interfaces[0].Connections
	if slices.ContainsFunc(v.Interfaces, func(i vps.Interface) bool { return i.Connections != n }) {
		return nil
	}
	return limit(n, decimal)
}

func published(v vps.VPS) []string {
	var all []string
	for _, p := range v.Published {
		all = append(all, p.String())
	}
	return all
}

// unpublished is the option that removes a published port. It names the protocol, or
// it would mean those of every protocol.
func unpublished(word string) (option, value string) {
	if !strings.Contains(word, "/") {
		word += "/tcp"
	}
	return "publish", "-" + word
}

func devices(v vps.VPS) []string {
	var all []string
	for _, d := range v.Devices {
		all = append(all, d.String())
	}
	return all
}

func mounts(v vps.VPS) []string {
	var all []string
	for _, m := range v.Mounts {
		all = append(all, m.String())
	}
	return all
}

// removedDevice is the option that removes a device.
func removedDevice(word string) (option, value string) {
	d, err := vps.ParseDevice(word)
	if err != nil {
		return "device-del", word
	}
	return "device-del", d.Name()
}

// removeMount is the option that removes a mount. A word that no mount has stays
// as it is, for the error.
func removeMount(word string) (option, value string) {
	if parts := strings.Split(word, ":"); len(parts) > 1 {
		word = parts[1]
	}
	return "mount-del", word
}

func stopTimeout(v vps.VPS) []string {
	if v.StopAfter == 0 {
		return nil
	}
	return []string{decimal(int64(v.StopAfter)) + "s"}
}

// pairs are KEY=VALUE, sorted.
func pairs(m map[string]string) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		all = append(all, key+"="+m[key])
	}
	return all
}
