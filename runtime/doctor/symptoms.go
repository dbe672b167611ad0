package doctor

import (
	"regexp"
	"slices"
	"strings"

	"croft/internal/pattern"
)

// A symptom is a message of programs whose cause is known. It lives in the text of a unit
// or on the console, in the words of the kernel, of systemd and of common software.
type symptom struct {
	text func() *regexp.Regexp
	// knows returns the cause and the remedy; "" if it is not that after all. The match
	// comes from the VPS.
	knows func(f Facts, match []string) (cause, remedy string)
}

// A diagnosis is what a symptom means.
type diagnosis struct{ cause, remedy string }

// symptom looks for a known cause in lines; the last line that has one counts.
func (f Facts) symptom(lines []string) (diagnosis, bool) {
	for n := len(lines) - 1; n >= 0; n-- {
		for _, s := range symptoms {
			match := s.text().FindStringSubmatch(lines[n])
			if match == nil {
				continue
			}
			if cause, remedy := s.knows(f, match); cause != "" {
				return diagnosis{cause, remedy}, true
			}
		}
	}
	return diagnosis{}, false
}

// always is a symptom with one cause.
func always(text, cause string, remedy func(Facts) string) symptom {
	return symptom{pattern.New(`(?i)` + text), func(f Facts, _ []string) (string, string) { return cause, remedy(f) }}
}

// fixed is a remedy that does not depend on the VPS.
func fixed(remedy string) func(Facts) string { return func(Facts) string { return remedy } }

// named is a remedy with the name of the VPS in place of %s.
func named(format string) func(Facts) string {
	return func(f Facts) string { return command(format, f.Name) }
}

// module is a symptom of a kernel module that the host has not loaded. A VPS cannot load
// modules.
func module(text, name string) symptom {
	return always(text, "the host has not loaded the kernel module "+name, fixed("modprobe "+name))
}

// modules are those that a remedy may name: a name from a VPS never becomes part of a
// command for the host's root.
var modules = []string{
	"br_netfilter", "fuse", "ip6_tables", "ip6table_filter", "ip6table_nat", "ip_set", "ip_tables", "ip_vs", "iptable_filter", "iptable_nat", "ipip",
	"nf_conntrack", "nf_nat", "nf_tables", "overlay", "sit", "tun", "veth", "vxlan", "wireguard", "xt_conntrack",
}

// symptoms are all known messages. The first one that fits a line counts, so what is
// special stands before what is general.
var symptoms = []symptom{
	always(`inotify.*(too many open files|no space left|limit)|too many open files.*inotify|failed to allocate manager object: too many open files|too many open files.*manager|(limit|number) .*inotify (instances|watches)`,
		"all inotify instances or watches that the host allows are in use", Facts.moreInotify),
	always(`(keyring|kernel key|\bkeys?\b).*quota exceeded|quota exceeded.*(keyring|\bkeys?\b)`,
		"all kernel keys that the host allows to a user of the VPS are in use", Facts.moreKeys),
	always(`disk quota exceeded`, "the disk quota, or the limit of kernel keys, is used up", Facts.moreKeys),
	{pattern.New(`(?i)no space left on device`), func(f Facts, _ []string) (string, string) {
		return "a filesystem is full", command("croft exec %s -- df -h", f.Name)
	}},
	always(`newuidmap.*not permitted|newuidmap.*failed|requires? .*subuid|insufficient uids or gids`,
		"a user namespace inside needs more user ids than the VPS has", named("croft set %s --id-size 262144")),
	always(`temporary failure (in name resolution|resolving)|could not resolve host|name or service not known|no such host|server misbehaving`,
		"a name could not be resolved: its DNS server does not answer, or does not know it", named("croft exec %s -- cat /etc/resolv.conf")),
	always(`release file .* is not (yet )?valid|certificate (is not yet valid|has expired)|certificate.*(not yet valid|expired)`,
		"the clock, which is the host's, is wrong, or the file is too old", fixed("date")),
	always(`address already in use`, "another program has its address and port", named("croft exec %s -- ss --listening --numeric --processes --tcp --udp")),
	always(`cannot assign requested address`, "it wants an address that the VPS does not have", named("croft list %s --columns name,addresses")),
	module(`unknown device type.*wireguard|wireguard.*(not supported|unknown device|missing)|unable to access interface: protocol not supported`, "wireguard"),
	module(`not supported: overlay|(overlayfs|overlay2?)\b.*(not supported|no such device|unknown filesystem|not found)|unknown filesystem type .?overlay`, "overlay"),
	module(`bridge-nf-call-ip6?tables.*(no such file|stat)`, "br_netfilter"),
	module(`can't initialize ip6tables table|ip6tables.*table does not exist`, "ip6_tables"),
	module(`can't initialize iptables table|iptables.*table does not exist|do you need to insmod`, "ip_tables"),
	module(`/dev/net/tun.*(no such|not permitted|cannot open|can't open)|(cannot|can't) (open|allocate) tun/tap`, "tun"),
	module(`/dev/fuse.*(no such|not permitted)|fuse: device not found`, "fuse"),
	{pattern.New(`(?i)(?:module|modprobe:?|insmod:?)[^']*? '?"?([a-z0-9_-]{2,40})'?"? (?:not found|could not|failed)|failed to (?:find|insert|load) module '?"?([a-z0-9_-]{2,40})`), unknownModule},
	always(`modprobe: can't change directory|can't find module`, "a VPS cannot load kernel modules", fixed(loadOnHost)),
	{pattern.New(`(?i)(/dev/[a-z0-9_/-]{1,60})[^a-z0-9_/-].*(no such file or directory|no such device|operation not permitted)`), missingDevice},
	{pattern.New(`(?i)(?:permission denied on key|couldn't write .* to|setting key|failed to (?:write|set)(?: sysctl)?)[^a-z]+((?:kernel|vm|fs|net|dev|user)[./][a-z0-9_./-]{1,80})`), sysctl},
	always(`adjtimex|clock_adjtime|settimeofday|(set|step|adjust)\w* .*clock.*(not permitted|denied)|rtc.*(no such|not permitted)`,
		"a VPS may not set the clock of the host, which keeps the time for all", fixed("let the host keep the time, and disable this service inside")),
	{pattern.New(`\bCAP_([A-Z_]{3,20})\b`), capability},
	always(`audit.*(operation not permitted|protocol not supported|no such)`, "the audit of the kernel belongs to the host", fixed(disableInside)),
	always(`io_uring.*(not permitted|not implemented|not supported|function)`, "the VPS may not use io_uring", named("croft set %s --allow io_uring")),
	always(`vsock.*(not permitted|not implemented|not supported)`, "the VPS may not use vsock", named("croft set %s --allow vsock")),
	{pattern.New(`(?i)resource temporarily unavailable|cannot fork|can't fork|fork failed|unable to create.*thread|pthread_create failed`), func(f Facts, _ []string) (string, string) {
		if f.Refused == 0 && !f.PIDs.nearly(8) && f.Runs {
			return "", ""
		}
		return "no more processes or threads: the limit of the VPS was reached", f.morePIDs()
	}},
	always(`cannot allocate memory|out of memory|std::bad_alloc|oom-kill|memory exhausted`, "no memory was left", Facts.moreMemory),
	always(`exec format error`, "the program is of another architecture, or a script without #! in its first line", named("croft exec %s -- uname -m")),
	always(`function not implemented`, "the system-call filter denies what it calls, or the kernel does not have it", named("croft inspect %s")),
	always(`read-only file system`, "it writes to what is read-only in a VPS, such as /sys, or to a mount with the option ro", named("croft exec %s -- mount")),
	{pattern.New(`(?i)mount:? .*(?:permission denied|operation not permitted|must be superuser)`), func(f Facts, _ []string) (string, string) {
		return "a VPS cannot mount disks, NFS or other filesystems of the host", command("croft help mount")
	}},
}

const disableInside = "disable this service inside"

const loadOnHost = "load the module on the host if a VPS needs it; otherwise disable what loads it inside"

// unknownModule is a module that the VPS wanted by its name.
func unknownModule(_ Facts, match []string) (cause, remedy string) {
	name := strings.ToLower(strings.ReplaceAll(match[1]+match[2], "-", "_"))
	for _, m := range modules {
		if m == name {
			return "the host has not loaded the kernel module " + m, "modprobe " + m
		}
	}
	return "a VPS cannot load kernel modules", loadOnHost
}

// givable are the devices that a remedy may name. Others belong to the host alone.
var givable = pattern.New(`^/dev/(kvm|vhost-net|loop-control|ppp|uinput|rtc0?|ttyUSB[0-9]{1,3}|ttyACM[0-9]{1,3}|ttyS[0-9]{1,3}|dri/[a-zA-Z0-9]{1,20}|snd/[a-zA-Z0-9]{1,20}|input/[a-z0-9]{1,20}|video[0-9]{1,3}|nvidia[a-z0-9-]{0,20}|bus/usb/[0-9]{3}/[0-9]{3})$`)

func missingDevice(f Facts, match []string) (cause, remedy string) {
	if !givable().MatchString(match[1]) {
		return "", ""
	}
	return "the VPS does not have the device " + match[1], command("croft set %s --device-add %s", f.Name, match[1])
}

// sysctl is a kernel setting that could not be set.
func sysctl(_ Facts, match []string) (cause, remedy string) {
	key := strings.ReplaceAll(match[1], "/", ".")
	return "a VPS may not set " + key + ", which is the host's, or the value is invalid in a VPS", "remove the line from /etc/sysctl.d inside, or set it on the host"
}

// capability is one that a program misses by its name.
func capability(f Facts, match []string) (cause, remedy string) {
	name := match[1]
	switch name {
	case "SYS_MODULE", "SYS_RAWIO", "SYS_TIME", "AUDIT_CONTROL", "AUDIT_READ", "MAC_OVERRIDE", "MAC_ADMIN":
		if f.Privileged {
			return "it needs the capability CAP_" + name, command("croft set %s --cap-add %s", f.Name, name)
		}
		return "it needs the capability CAP_" + name + " over the host, which only a privileged VPS can have", disableInside
	}
	if slices.Contains(f.CapDrop, name) || slices.Contains(f.CapDrop, "CAP_"+name) {
		return "the capability CAP_" + name + " was taken from the VPS", command("croft set %s --cap-drop -%s", f.Name, name)
	}
	return "", ""
}
