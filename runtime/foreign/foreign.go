// Package foreign reads the configuration of containers of other tools, and says which
// settings a VPS gets from it and which it does not. It is pure.
package foreign

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"croft/internal/fail"
	"croft/internal/vps"
)

// A Kind is the tool that a container comes from.
type Kind string

// The kinds.
const (
	OpenVZ Kind = "vz"     // OpenVZ and Virtuozzo up to 6: CTID.conf
	LXC    Kind = "lxc"    // lxc.container.conf(5)
	Incus  Kind = "incus"  // Incus and LXD: index.yaml or backup.yaml of a backup
	PCT    Kind = "pct"    // Proxmox VE: pct.conf(5)
	Nspawn Kind = "nspawn" // systemd.nspawn(5)
	Docker Kind = "docker" // the JSON of docker inspect and podman inspect
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{OpenVZ, LXC, Incus, PCT, Nspawn, Docker} }

// ParseKind reads the name of a tool. Another text is fail.Usage.
func ParseKind(s string) (Kind, error) {
	switch s {
	case "openvz":
		return OpenVZ, nil
	case "lxd":
		return Incus, nil
	case "proxmox":
		return PCT, nil
	case "podman":
		return Docker, nil
	}
	if !slices.Contains(Kinds(), Kind(s)) {
		return "", fail.New(fail.Usage, "%q is none of vz, lxc, incus, pct, nspawn, docker", s)
	}
	return Kind(s), nil
}

// A System is a container of another tool.
type System struct {
	Kind Kind
	// Name is the name that it has there; "" if its configuration does not have it.
	Name string
	// VPS has the settings that it has in croft. It is valid, and its name and its host
	// name are "" if the configuration does not have them. It has no interfaces: see NICs.
	VPS  vps.VPS `json:"-"`
	NICs []NIC
	// HostNetwork says that it uses the interfaces of its host.
	HostNetwork bool
	// IDs are the ids of the host that its ids are; zero if they are the same, or unknown.
	IDs vps.IDRange
	// Rootfs is the directory of the host with its files; "" is unknown.
	Rootfs string
	// NoRootfs says why its files cannot be read from a directory; "": they can.
	NoRootfs string
	// Architecture is the name that uname(1) prints; "" is unknown.
	Architecture string
	Program      Program
	Running      bool   // it ran when the configuration was written
	Left         []Left `json:"-"`

	lxc lxcSettings // of LXC and Proxmox, until all lines are read
}

// A Program is what a container runs instead of an init.
type Program struct {
	Entrypoint []string `json:",omitempty"`
	Command    []string `json:",omitempty"`
	Env        []string `json:",omitempty"`
	User       string   `json:",omitempty"`
	Dir        string   `json:",omitempty"`
	StopSignal string   `json:",omitempty"`
}

// A NIC is a network interface of a container.
type NIC struct {
	Key       string         // its key in the configuration
	Name      string         // inside; "" is unknown
	Bridge    string         // of the host, or the name of a network; "" is unknown
	MAC       string         // "" is unknown
	Addresses []netip.Prefix // an address without a length has that of its family
	Rate      vps.Rate
}

// A Left is a setting that the VPS does not get.
type Left struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Reason string `json:"reason"`
}

// String is the setting in one line, with the reason.
func (l Left) String() string {
	text := l.Key
	if l.Value != "" {
		text += "=" + l.Value
	}
	return text + ": " + l.Reason
}

// Reasons that many settings have.
const (
	unknown   = "croft does not know this setting"
	missing   = "croft has no such setting"
	unread    = "croft cannot read this value"
	otherTool = "it is a program of the other tool; croft has hooks of its own (/etc/croft/hooks.d)"
)

// MaxConfig is the size of the largest configuration, in bytes.
const MaxConfig = 1 << 20

// Parse reads the configuration text of a container. name is the one of its file, or "".
// A text that is no configuration of that tool is fail.Usage. Settings that croft cannot
// use are in System.Left.
func Parse(kind Kind, name string, text []byte) (System, error) {
	if len(text) > MaxConfig || bytes.IndexByte(text, 0) >= 0 && kind != PCT {
		return System{}, fail.New(fail.Usage, "it is not a configuration: it is too long, or not text")
	}
	s := System{Kind: kind, Name: name}
	s.VPS.Name, s.VPS.Hostname = placeholder, placeholder
	var err error
	switch kind {
	case OpenVZ:
		err = s.parseOpenVZ(string(text))
	case LXC:
		err = s.parseLXC(string(text))
	case Incus:
		err = s.parseIncus(text)
	case PCT:
		err = s.parsePCT(string(text))
	case Nspawn:
		err = s.parseNspawn(string(text))
	case Docker:
		err = s.parseDocker(text)
	default:
		err = fail.New(fail.Usage, "unknown tool %q", kind)
	}
	if s.VPS.Hostname == placeholder {
		s.VPS.Hostname = ""
	}
	s.VPS.Name = ""
	return s, err
}

// placeholder is a valid name until the real one is known.
const placeholder = "vps"

// NameFor returns the name of the VPS: the one in the configuration as far as it is valid
// in croft, else the host name; "" if neither can be one.
func (s System) NameFor() vps.Name {
	host, _, _ := strings.Cut(s.VPS.Hostname, ".")
	for _, text := range []string{s.Name, host} {
		bad := vps.BadName{Name: text}
		for _, try := range []string{text, bad.Converted()} {
			if name, err := vps.ParseName(try); err == nil {
				return name
			}
		}
	}
	return ""
}

// left notes that the VPS does not get a setting.
func (s *System) left(key, value, reason string) {
	s.Left = append(s.Left, Left{clean(key), clean(value), clean(reason)})
}

// clean is text for one line of a terminal.
func clean(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// take gives the VPS a setting. One that would not be valid is left.
func (s *System) take(key, value string, edits ...vps.Edit) bool {
	v, err := vps.Edited(s.VPS, edits...)
	if err != nil {
		s.left(key, value, err.Error())
		return false
	}
	s.VPS = v
	return true
}

// A setting is an edit of fields that no edit of croft set sets.
type setting func(*vps.VPS)

func (f setting) Apply(v *vps.VPS) error { f(v); return nil }
func (setting) Part() vps.Part           { return "" }
func (setting) String() string           { return "" }

// limit takes a limit that get returns; 0 is none.
func (s *System) limit(key, value string, n int64, ok bool, set func(l *vps.Limits, n int64)) {
	if !ok {
		s.left(key, value, unread)
		return
	}
	s.take(key, value, setting(func(v *vps.VPS) { set(&v.Limits, n) }))
}

func setMemory(l *vps.Limits, n int64) { l.Memory = n }
func setSwap(l *vps.Limits, n int64)   { l.Swap = n }
func setPIDs(l *vps.Limits, n int64)   { l.PIDs = n }
func setWeight(l *vps.Limits, n int64) { l.CPUWeight = n }
func setCPUs(l *vps.Limits, n int64)   { l.MilliCPUs = n }
func setLow(l *vps.Limits, n int64)    { l.MemoryLow = n }
func setIO(l *vps.Limits, n int64)     { l.IOWeight = n }
func weight(shares, normal int64) int64 {
	return min(max(shares*vps.DefaultWeight/normal, 1), vps.MaxWeight)
}

// orNoSwap returns the limit of swap of n bytes.
func orNoSwap(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

// hostname takes a host name.
func (s *System) hostname(key, value string) {
	if value != "" {
		s.take(key, value, setting(func(v *vps.VPS) { v.Hostname = value }))
	}
}

// description takes a description, whose lines become one.
func (s *System) description(key, text string) {
	if text = strings.Join(strings.Fields(text), " "); text != "" {
		s.take(key, text, setting(func(v *vps.VPS) { v.Description = text }))
	}
}

// servers and search take DNS settings.
func (s *System) servers(key string, all []string) {
	for _, a := range all {
		s.take(key, a, setting(func(v *vps.VPS) { v.DNS.Servers = append(v.DNS.Servers, a) }))
	}
}

func (s *System) search(key string, all []string) {
	for _, d := range all {
		s.take(key, d, setting(func(v *vps.VPS) { v.DNS.Search = append(v.DNS.Search, d) }))
	}
}

// env takes NAME=VALUE. The value may be a secret, so only the name is shown.
func (s *System) env(key, text string) {
	name, _, _ := strings.Cut(text, "=")
	if err := vps.CheckEnv(text); err != nil {
		s.left(key, name, "croft cannot have a variable of that name")
		return
	}
	s.take(key, name, setting(func(v *vps.VPS) { v.Env = append(v.Env, text) }))
}

// sysctl takes a kernel setting.
func (s *System) sysctl(key, name, value string) {
	s.take(key, value, setting(func(v *vps.VPS) {
		if v.Sysctls == nil {
			v.Sysctls = map[string]string{}
		}
		v.Sysctls[name] = value
	}))
}

// capability takes a capability that is added or dropped.
func (s *System) capability(key, name string, add bool) {
	known, err := vps.ParseCapability(name)
	if err != nil {
		s.left(key, name, "unknown capability")
		return
	}
	var e vps.Edit = vps.DropCapability{Name: known}
	if add {
		e = vps.AddCapability{Name: known}
	}
	s.take(key, name, e)
}

// onBoot takes whether a boot of the host starts the container.
func (s *System) onBoot(on bool) {
	s.VPS.OnBoot = vps.OnBootNo
	if on {
		s.VPS.OnBoot = vps.OnBootYes
	}
}

// address reads an address with or without the length of its network.
func address(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p, nil
	}
	a, err := netip.ParseAddr(text)
	if err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.Prefix{}, fmt.Errorf("invalid address %q", text)
}

// addAddress gives a NIC an address. Words such as dhcp are none.
func (s *System) addAddress(n *NIC, key, text string) {
	switch text {
	case "", "dhcp", "auto", "manual", "none", "slaac":
		return
	}
	p, err := address(text)
	if err != nil {
		s.left(key, text, unread)
		return
	}
	n.Addresses = append(n.Addresses, p)
}

// setMAC gives a NIC a MAC.
func (s *System) setMAC(n *NIC, key, text string) {
	mac, err := net.ParseMAC(text)
	if err == nil {
		err = vps.CheckMAC(mac.String())
	}
	if err != nil {
		s.left(key, text, unread)
		return
	}
	n.MAC = mac.String()
}

// mount takes a mount of a directory of the host.
func (s *System) mount(key, value string, m vps.Mount) {
	if m.Kind == "" {
		m.Kind = vps.MountHost
	}
	s.take(key, value, vps.AddMount{Mount: m})
}

// device takes a device of the host. Every VPS has some of them.
func (s *System) device(key, value string, d vps.Device) {
	for _, own := range []string{"/dev/net/tun", "/dev/fuse", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"} {
		if d.Name() == own {
			return
		}
	}
	s.take(key, value, vps.AddDevice{Device: d})
}

// publish takes a published port.
func (s *System) publish(key, value string, p vps.Publication) {
	s.take(key, value, vps.Publish{Ports: []vps.Publication{p}})
}
