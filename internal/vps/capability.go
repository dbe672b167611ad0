package vps

import (
	"slices"
	"strings"

	"croft/internal/fail"
)

// AllCapabilities is the word for every capability in CapAdd and CapDrop.
const AllCapabilities = "ALL"

// Capabilities returns the names of all capabilities without "CAP_", in the order of
// their numbers (linux/capability.h, the same from Linux 5.9 to 6.18).
func Capabilities() []string {
	return []string{
		"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
		"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
		"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
		"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
		"MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
		"CHECKPOINT_RESTORE",
	}
}

// ParseCapability returns the name of a capability as settings have it: NET_RAW for
// NET_RAW, net_raw and CAP_NET_RAW, or AllCapabilities. It is fail.Usage for another
// text.
func ParseCapability(s string) (string, error) {
	name := strings.TrimPrefix(strings.ToUpper(s), "CAP_")
	if name != AllCapabilities && !slices.Contains(Capabilities(), name) {
		return "", fail.New(fail.Usage, "unknown capability %q: use a name of capabilities(7), for example NET_RAW, or ALL", s)
	}
	return name, nil
}

// checkCapabilities refuses a list that says the opposite of the other, and more than
// croft gives a privileged VPS: all capabilities would be over the host.
func (v VPS) checkCapabilities() error {
	for _, name := range slices.Concat(v.CapAdd, v.CapDrop) {
		if known, err := ParseCapability(name); err != nil || known != name {
			return fail.New(fail.Usage, "unknown capability %q", name)
		}
	}
	for _, name := range v.CapAdd {
		if slices.Contains(v.CapDrop, name) {
			return fail.New(fail.Usage, "the capability %s is both added (--cap-add) and dropped (--cap-drop)", name)
		}
	}
	if v.Privileged && slices.Contains(v.CapAdd, AllCapabilities) {
		return fail.New(fail.Usage, "cap-add: a privileged VPS cannot have all capabilities, which would be over the host: name those that it needs")
	}
	return nil
}

// AddCapability gives the VPS a capability that it does not have by default. No-op if
// it was added before. It takes effect at the next start.
type AddCapability struct{ Name string }

// Apply adds it.
func (e AddCapability) Apply(v *VPS) error {
	v.CapAdd = append(withoutName(v.CapAdd, e.Name), e.Name)
	return nil
}

// Part is "".
func (AddCapability) Part() Part { return "" }

func (e AddCapability) String() string { return "add capability " + e.Name }

// ForgetAddedCapability ends what AddCapability did. No-op if it was not added. It takes
// effect at the next start.
type ForgetAddedCapability struct{ Name string }

// Apply ends it.
func (e ForgetAddedCapability) Apply(v *VPS) error {
	v.CapAdd = withoutName(v.CapAdd, e.Name)
	return nil
}

// Part is "".
func (ForgetAddedCapability) Part() Part { return "" }

func (e ForgetAddedCapability) String() string { return "forget added capability " + e.Name }

// DropCapability takes a capability from the VPS. No-op if it was dropped before. It
// takes effect at the next start.
type DropCapability struct{ Name string }

// Apply drops it.
func (e DropCapability) Apply(v *VPS) error {
	v.CapDrop = append(withoutName(v.CapDrop, e.Name), e.Name)
	return nil
}

// Part is "".
func (DropCapability) Part() Part { return "" }

func (e DropCapability) String() string { return "drop capability " + e.Name }

// ForgetDroppedCapability ends what DropCapability did. No-op if it was not dropped. It
// takes effect at the next start.
type ForgetDroppedCapability struct{ Name string }

// Apply ends it.
func (e ForgetDroppedCapability) Apply(v *VPS) error {
	v.CapDrop = withoutName(v.CapDrop, e.Name)
	return nil
}

// Part is "".
func (ForgetDroppedCapability) Part() Part { return "" }

func (e ForgetDroppedCapability) String() string { return "forget dropped capability " + e.Name }

func withoutName(all []string, word string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(w string) bool { return w == word })
}
