package vps

import (
	"maps"
	"slices"
	"strings"
)

// SetHostname sets the host name of the VPS; "" is its own name. It takes effect at
// the next start.
type SetHostname struct{ Hostname string }

// Apply sets it.
func (e SetHostname) Apply(v *VPS) error {
	if v.Hostname = e.Hostname; e.Hostname == "" {
		v.Hostname = string(v.Name)
	}
	return nil
}

// Part is "".
func (SetHostname) Part() Part { return "" }

func (e SetHostname) String() string { return "hostname " + e.Hostname }

// SetEnv sets an environment variable of the VPS's init, NAME=VALUE, or replaces its
// value. It takes effect at the next start.
type SetEnv struct{ Text string }

// Apply sets it.
func (e SetEnv) Apply(v *VPS) error {
	name, _, _ := strings.Cut(e.Text, "=")
	v.Env = append(withoutEnv(v.Env, name), e.Text)
	return nil
}

// Part is "".
func (SetEnv) Part() Part { return "" }

func (e SetEnv) String() string { return "env " + e.Text }

// RemoveEnv removes an environment variable of the VPS's init. No-op without it.
type RemoveEnv struct{ Name string }

// Apply removes it.
func (e RemoveEnv) Apply(v *VPS) error {
	v.Env = withoutEnv(v.Env, e.Name)
	return nil
}

// Part is "".
func (RemoveEnv) Part() Part { return "" }

func (e RemoveEnv) String() string { return "remove env " + e.Name }

func withoutEnv(env []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(text string) bool { return strings.HasPrefix(text, name+"=") })
}

// SetSysctl sets a kernel setting of the VPS, or replaces its value. It takes effect
// at the next start.
type SetSysctl struct{ Key, Value string }

// Apply sets it.
func (e SetSysctl) Apply(v *VPS) error {
	if v.Sysctls == nil {
		v.Sysctls = map[string]string{}
	}
	v.Sysctls[e.Key] = e.Value
	return nil
}

// Part is "".
func (SetSysctl) Part() Part { return "" }

func (e SetSysctl) String() string { return "sysctl " + e.Key + "=" + e.Value }

// RemoveSysctl removes a kernel setting of the VPS. No-op without it.
type RemoveSysctl struct{ Key string }

// Apply removes it.
func (e RemoveSysctl) Apply(v *VPS) error {
	delete(v.Sysctls, e.Key)
	return nil
}

// Part is "".
func (RemoveSysctl) Part() Part { return "" }

func (e RemoveSysctl) String() string { return "remove sysctl " + e.Key }

// Allow allows something that VPSs do not have by default: CheckAllow. No-op if it
// is allowed. It takes effect at the next start.
type Allow struct{ What string }

// Apply allows it.
func (e Allow) Apply(v *VPS) error {
	if !slices.Contains(v.Allow, e.What) {
		v.Allow = append(slices.Clone(v.Allow), e.What)
	}
	return nil
}

// Part is "".
func (Allow) Part() Part { return "" }

func (e Allow) String() string { return "allow " + e.What }

// Disallow ends what Allow allowed. No-op if it is not allowed.
type Disallow struct{ What string }

// Apply ends it.
func (e Disallow) Apply(v *VPS) error {
	v.Allow = slices.DeleteFunc(slices.Clone(v.Allow), func(what string) bool { return what == e.What })
	return nil
}

// Part is "".
func (Disallow) Part() Part { return "" }

func (e Disallow) String() string { return "disallow " + e.What }

// SetServers sets the DNS servers; without any they are the host's.
type SetServers struct{ Servers []string }

// Apply sets them.
func (e SetServers) Apply(v *VPS) error {
	v.DNS.Servers = e.Servers
	return nil
}

// Part is the guest's files.
func (SetServers) Part() Part { return PartGuestFiles }

func (e SetServers) String() string { return "dns " + strings.Join(e.Servers, ", ") }

// SetSearch sets the search domains; without any they are the host's.
type SetSearch struct{ Domains []string }

// Apply sets them.
func (e SetSearch) Apply(v *VPS) error {
	v.DNS.Search = e.Domains
	return nil
}

// Part is the guest's files.
func (SetSearch) Part() Part { return PartGuestFiles }

func (e SetSearch) String() string { return "search " + strings.Join(e.Domains, ", ") }

// StartSettings are the settings that a VPS keeps from its start to its end,
// whatever is set meanwhile.
type StartSettings struct {
	Hostname string            `json:"hostname"`
	Env      []string          `json:"env,omitempty"`
	Sysctls  map[string]string `json:"sysctls,omitempty"`
	Allow    []string          `json:"allow,omitempty"`
	CapAdd   []string          `json:"capAdd,omitempty"`
	CapDrop  []string          `json:"capDrop,omitempty"`
	IDSize   uint32            `json:"idSize,omitempty"` // 0: not known, a former croft started it
	NoDmesg  bool              `json:"noDmesg,omitempty"`
	Seccomp  Seccomp           `json:"seccomp,omitempty"`

	Credentials []Credential `json:"credentials,omitempty"`
}

// StartSettings returns those settings of v.
func (v VPS) StartSettings() StartSettings {
	v = v.Clone()
	return StartSettings{Hostname: v.Hostname, Env: v.Env, Sysctls: v.Sysctls, Allow: v.Allow, CapAdd: v.CapAdd, CapDrop: v.CapDrop, IDSize: v.IDs.Size, NoDmesg: v.NoDmesg, Seccomp: v.Seccomp, Credentials: v.Credentials}
}

// Pending names the settings of s, as the options that set them, that differ from
// those with which a VPS was started. They take effect at its next start.
func (s StartSettings) Pending(started StartSettings) []string {
	pending := []string{}
	add := func(name string, same bool) {
		if !same {
			pending = append(pending, name)
		}
	}
	add("hostname", s.Hostname == started.Hostname)
	add("env", sameSet(s.Env, started.Env))
	add("sysctl", maps.Equal(s.Sysctls, started.Sysctls))
	add("allow", sameSet(s.Allow, started.Allow))
	add("cap-add", sameSet(s.CapAdd, started.CapAdd))
	add("cap-drop", sameSet(s.CapDrop, started.CapDrop))
	add("id-size", s.IDSize == started.IDSize || started.IDSize == 0)
	add("dmesg", s.NoDmesg == started.NoDmesg)
	add("seccomp", s.Seccomp == started.Seccomp)
	add("credential", slices.Equal(s.Credentials, started.Credentials))
	return pending
}

// sameSet reports whether both have the same texts, in any order.
func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
