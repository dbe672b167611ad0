package doctor

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files")

// A case is a VPS and what is wrong with it.
type example struct {
	name  string
	facts func(*Facts)
}

// healthy is a VPS with systemd that runs.
func healthy() Facts {
	return Facts{
		Name: "web", CapDrop: []string{"NET_RAW"}, Runs: true, Booted: true, ShouldRun: true, Asked: true,
		Memory: Use{100 << 20, 512 << 20}, HostMemory: 8 << 30, PIDs: Use{20, 1000}, Instances: Use{11, 128}, Keys: Use{16, 200}, KeyBytes: Use{300, 20000},
		Dropped: []Dropped{{"eth0", "ethertype", 12, 0}}, DNS: DNS{Servers: []string{"10.90.0.1"}},
	}
}

// unit is a unit that has failed, with lines of systemd about it and lines of its own.
func unit(name, result string, code, status int, log ...string) func(*Facts) {
	return func(f *Facts) {
		f.Units = append(f.Units, Unit{Name: name, Load: "loaded", Result: result, Code: code, Status: status, Log: log})
	}
}

// examples are what systemd 252 writes, and other software.
var examples = []example{
	{"healthy", func(*Facts) {}},
	{"broken", func(f *Facts) { f.Broken = "vps.json: unexpected end" }},

	{"exit", unit("f-exit.service", "exit-code", 1, 78, "Started f-exit.service.", "config broken line 3", "f-exit.service: Main process exited, code=exited, status=78/CONFIG", "f-exit.service: Failed with result 'exit-code'.")},
	{"silent exit", unit("f.service", "exit-code", 1, 1, "Starting f.service...", "f.service: Main process exited, code=exited, status=1/FAILURE", "Failed to start f.service.")},
	{"missing program", unit("f.service", "exit-code", 1, 203, "f.service: Failed to locate executable /usr/bin/nothere: No such file or directory",
		"f.service: Failed at step EXEC spawning /usr/bin/nothere: No such file or directory", "Started f.service.", "f.service: Main process exited, code=exited, status=203/EXEC")},
	{"missing program, systemd 247", unit("f.service", "exit-code", 1, 203, "f.service: Failed to execute command: No such file or directory",
		"f.service: Failed at step EXEC spawning /usr/bin/nothere: No such file or directory")},
	{"namespace", unit("f.service", "exit-code", 1, 226, "f.service: Failed to set up mount namespacing: /run/systemd/unit-root/mnt: No such file or directory", "f.service: Failed at step NAMESPACE spawning /bin/true: No such file or directory")},
	{"credentials", unit("f.service", "exit-code", 1, 243, "f.service: Failed to set up credentials: Protocol error", "f.service: Failed at step CREDENTIALS spawning /bin/true: Protocol error")},
	{"user", unit("f.service", "exit-code", 1, 217, "f.service: Failed to determine user credentials: No such process")},
	{"environment file", unit("f.service", "resources", 0, 0, "f.service: Failed to load environment files: No such file or directory", "f.service: Failed to run 'start' task: No such file or directory", "f.service: Failed with result 'resources'.")},
	{"timeout", unit("f.service", "timeout", 2, 15, "f.service: start operation timed out. Terminating.")},
	{"segmentation fault", unit("f.service", "core-dump", 3, 11)},
	{"system call filter", unit("f.service", "signal", 2, 31)},
	{"killed", unit("f.service", "signal", 2, 9)},
	{"restarts", unit("f.service", "exit-code", 1, 1, "f.service: Scheduled restart job, restart counter is at 5.", "f.service: Start request repeated too quickly.")},
	{"no such unit", func(f *Facts) { f.Units = []Unit{{Name: "x.mount", Load: "not-found"}} }},
	{"name with an option", unit("-.mount", "exit-code", 1, 32)},
	{"hostile name", unit("a;reboot $(x).service", "exit-code", 1, 1)},
	{"wait-online", unit("systemd-networkd-wait-online.service", "exit-code", 1, 1, "Timeout occurred while waiting for network connectivity.")},
	{"out of memory", func(f *Facts) {
		f.OOM = OOM{1, []string{"mysqld"}}
		unit("mysql.service", "signal", 2, 9)(f)
	}},
	{"out of memory, version 2", unit("mysql.service", "oom-kill", 2, 9)},
	{"out of memory, the host has no more", func(f *Facts) { f.OOM, f.HostMemory = OOM{Kills: 3}, 600<<20 }},
	{"out of memory, no limit", func(f *Facts) { f.OOM, f.Memory.Limit = OOM{Kills: 3}, 0 }},
	{"nearly out of memory", func(f *Facts) { f.Memory.Used = 500 << 20 }},
	{"units are not known", func(f *Facts) { f.Asked, f.Unasked = false, "systemd inside did not answer within 10s" }},

	{"many processes", func(f *Facts) { f.PIDs, f.Refused = Use{998, 1000}, 7 }},
	{"processes were refused", func(f *Facts) {
		f.Refused = 7
		unit("f.service", "exit-code", 1, 1, "fork: Resource temporarily unavailable")(f)
	}},
	{"busy, not the limit of processes", unit("f.service", "exit-code", 1, 1, "read: Resource temporarily unavailable")},
	{"disk is full", func(f *Facts) { f.Disk, f.Inodes = Use{1 << 30, 1 << 30}, Use{900, 65536} }},
	{"disk is nearly full", func(f *Facts) { f.Disk, f.Inodes = Use{930 << 20, 1 << 30}, Use{60000, 65536} }},
	{"inotify", func(f *Facts) { f.Instances.Used = 120 }},
	{"keys", func(f *Facts) { f.Keys.Used, f.KeyBytes.Used = 190, 19000 }},
	{"dropped", func(f *Facts) {
		f.Dropped = []Dropped{{"eth0", "source", 12, 0}, {"eth0", "mac", 1, 0}, {"eth0", "connections", 5, 1000}, {"eth0", "router", 5, 0}, {"eth0", "arp", 1, 0}, {"eth0", "dhcp", 1, 0}}
	}},
	{"no answer", func(f *Facts) { f.Silent = []string{"10.90.0.2", "fd00::2"} }},
	{"no resolver", func(f *Facts) { f.DNS = DNS{None: true} }},
	{"silent resolver", func(f *Facts) { f.DNS.Silent = f.DNS.Servers }},
	{"one silent resolver", func(f *Facts) {
		f.DNS = DNS{Servers: []string{"10.90.0.1", "192.0.2.1"}, Silent: []string{"192.0.2.1"}}
	}},
	{"paused", func(f *Facts) { f.Paused = true }},
	{"boots", func(f *Facts) { f.Booted, f.Waiting = false, []string{"apt-daily.service", "f.service"} }},
	{"boots, no systemd", func(f *Facts) { f.Booted, f.Asked = false, false }},
	{"first boot", func(f *Facts) { f.FirstBoot = "it exited with status 3" }},

	{"stopped", func(f *Facts) {
		*f = Facts{Name: "web", Ended: &End{Detail: "the VPS powered off"}}
	}},
	{"never started", func(f *Facts) { *f = Facts{Name: "web"} }},
	{"crashed", func(f *Facts) {
		*f = Facts{Name: "web", ShouldRun: true, Ended: &End{Detail: "init exited with status 255", Accident: true},
			Console: []string{"Failed to allocate manager object: Too many open files", "[!!!!!!] Failed to allocate manager object.", "Exiting PID 1..."}}
	}},
	{"crashed, for an unknown cause", func(f *Facts) {
		*f = Facts{Name: "web", ShouldRun: true, Ended: &End{Detail: "init was killed by signal 11 (segmentation fault)", Accident: true}}
	}},
	{"ended out of memory", func(f *Facts) {
		*f = Facts{Name: "web", ShouldRun: true, Memory: Use{0, 256 << 20}, Ended: &End{Detail: "init was killed by signal 9 (killed), and the VPS had run out of memory", Accident: true, OutOfMemory: true}}
	}},
	{"restarts again and again", func(f *Facts) {
		*f = Facts{Name: "web", ShouldRun: true, Ended: &End{Detail: "init exited with status 1", Accident: true, Restarting: true}}
	}},
	{"not started since the boot", func(f *Facts) { *f = Facts{Name: "web", ShouldRun: true} }},
	{"cannot start", func(f *Facts) {
		*f = Facts{Name: "web", Obstacles: []Obstacle{{Why: "/srv/www does not exist"}, {"no network lan", "croft network list"}}}
	}},

	{"consoles of other inits", func(f *Facts) {
		f.Asked = false
		f.Console = []string{
			"INIT: Id \"co\" respawning too fast: disabled for 5 minutes", "can't run '/sbin/getty': No such file or directory",
			"startpar: service(s) returned failure: ssh ... failed!", " * ERROR: sshd failed to start", "web login:", "[croft: out of memory: killed dd, which used 31 MiB]",
			"iptables v1.8.9 (legacy): can't initialize iptables table `filter': Table does not exist (do you need to insmod?)",
		}
	}},
}

// symptomTexts are messages of real software, each of which has a known cause.
var symptomTexts = []string{
	"Failed to create control group inotify object: Too many open files",
	"failed to create fsnotify watcher: too many open files: inotify",
	"Failed to join session keyring: Disk quota exceeded",
	"write /var/lib/x: no space left on device",
	"newuidmap: write to uid_map failed: Operation not permitted",
	"curl: (6) Could not resolve host: mirror.example",
	"E: Release file for http://mirror.example/debian/dists/sid/InRelease is not valid yet (invalid for another 3h)",
	"bind() to 0.0.0.0:80 failed (98: Address already in use)",
	"bind: Cannot assign requested address",
	"Error: Unknown device type: wireguard",
	"wg-quick: Unable to access interface: Protocol not supported",
	"driver not supported: overlay2",
	"sysctl: cannot stat /proc/sys/net/bridge/bridge-nf-call-iptables: No such file or directory",
	"ip6tables v1.8.7 (legacy): can't initialize ip6tables table `nat': Table does not exist (do you need to insmod?)",
	"modprobe: FATAL: Module ip_vs not found in directory /lib/modules/6.1.0",
	"modprobe: FATAL: Module evil$(reboot) not found in directory /lib/modules/6.1.0",
	"modprobe: FATAL: Module nfsd not found in directory /lib/modules/6.1.0",
	"Failed to find module 'overlay'",
	"modprobe: can't change directory to '/lib/modules': No such file or directory",
	"ERROR: Cannot open TUN/TAP dev /dev/net/tun: No such file or directory (errno=2)",
	"fuse: device not found, try 'modprobe fuse' first",
	"Could not access KVM kernel module: open /dev/kvm: No such file or directory",
	"open /dev/sda;reboot: No such file or directory",
	"sysctl: permission denied on key \"kernel.panic\"",
	"Couldn't write '0 2147483647' to 'net/ipv4/ping_group_range': Invalid argument",
	"adjtimex(0x8001) failed: Operation not permitted",
	"Fatal error: CAP_SYS_TIME is required",
	"ping: socket: CAP_NET_RAW is missing",
	"io_uring_setup: Operation not permitted",
	"Error: Failed to open audit socket: Operation not permitted",
	"fatal error: Cannot allocate memory",
	"/usr/bin/tool: Exec format error",
	"quotactl: Function not implemented",
	"mount: /mnt: permission denied.",
	"write /sys/block/sda/queue: Read-only file system",
	"everything is as it should be",
}

func TestFindings(t *testing.T) {
	var out strings.Builder
	for _, c := range examples {
		f := healthy()
		c.facts(&f)
		fmt.Fprintf(&out, "== %s\n%s", c.name, text(Findings(f)))
	}
	for _, line := range symptomTexts {
		f := healthy()
		d, _ := f.symptom([]string{line})
		fmt.Fprintf(&out, "-- %s\n%s: remedy: %s\n", line, d.cause, d.remedy)
	}
	fmt.Fprintf(&out, "== the host\n%s", text(OfHost(Host{
		Dir: "/var/lib/croft", FreeBytes: 3 << 20, FreeInodes: 7, Limits: []HostLimit{{"900 of net.netfilter.nf_conntrack_max=1000 are in use", "sysctl -w net.netfilter.nf_conntrack_max=2000"}},
	})))
	fmt.Fprintf(&out, "== a host with room\n%s", text(OfHost(Host{Dir: "/var/lib/croft", FreeBytes: 3 << 30, FreeInodes: 1 << 20})))
	const golden = "testdata/findings.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Error(diff)
	}
}

// text has each finding on two lines.
func text(all []Finding) string {
	var out strings.Builder
	for _, f := range all {
		fmt.Fprintf(&out, "%s %s: %s: %s\nremedy: %s\n", f.Name, f.Severity, f.What, f.Cause, f.Remedy)
	}
	return out.String()
}

// Every finding says all that a reader needs, whatever a VPS writes.
func FuzzFindings(f *testing.F) {
	for _, c := range symptomTexts {
		f.Add("f.service", c)
	}
	f.Fuzz(func(t *testing.T, name, line string) {
		facts := healthy()
		facts.Console = []string{line}
		unit(name, "exit-code", 1, 1, line)(&facts)
		for _, asked := range []bool{true, false} {
			facts.Asked = asked
			for _, found := range Findings(facts) {
				if found.What == "" || found.Cause == "" || found.Remedy == "" || strings.ContainsAny(found.Remedy, "\n\r\x1b`$&|<>()") {
					t.Errorf("%+v", found)
				}
			}
			facts.Units = nil
		}
	})
}
