// Package hostfacts finds out what this host has and allows, as far as a VPS
// depends on it.
package hostfacts

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"

	"croft/bundles"
	"croft/internal/userns"
	"croft/network/guest"
	"croft/runtime/container"
)

// Facts are the properties of the host that a start of a VPS needs.
type Facts struct {
	BootID   string
	Cgroups  container.CgroupManager
	Devices  []bundles.Device // those of every VPS that a host may lack: optionalDevices
	NoFile   uint64           // hard limit of open files that a VPS can get
	Capacity bundles.Capacity
	// OOMScoreAdj is the OOM score of a VPS's init: 0 if the host allows that.
	OOMScoreAdj int
	Uptime      time.Duration // 0 if the kernel has no time namespaces
	Caps        []string      // capabilities that root on this host can have
	Arch        string
	Upstreams   []netip.Addr // resolvers
	Search      []string     // search domains
	// Impassable is the directory on the way to the run directory that users of
	// VPSs cannot pass through; "" if there is none. Read does not set it.
	Impassable string
}

// Read reads the facts. cgroups is the cgroup manager that the user asks for. Callers may
// append to the devices of copies.
func Read(cgroups container.CgroupManager) (Facts, error) {
	f := Facts{Cgroups: cgroups.Resolve(), Arch: runtime.GOARCH, Devices: slices.Clip(optionalDevices())}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Facts{}, fmt.Errorf("cannot read the host's boot id: %w", err)
	}
	f.BootID = strings.TrimSpace(string(boot))
	if f.Caps, err = capabilities(); err != nil {
		return Facts{}, err
	}
	if f.NoFile, err = maxOpenFiles(); err != nil {
		return Facts{}, err
	}
	f.Capacity, f.OOMScoreAdj = Capacity(), oomScoreAdj()
	if f.Uptime, err = uptime(); err != nil {
		return Facts{}, err
	}
	if f.Upstreams, f.Search, err = resolvers(); err != nil {
		return Facts{}, err
	}
	return f, nil
}

// wantedNoFile is the hard limit of open files of a VPS if the host allows it. It
// is the limit that systemd gives to the services of a machine.
const wantedNoFile = 1 << 20

// maxOpenFiles returns how many files a VPS may have open. To raise the hard limit
// needs CAP_SYS_RESOURCE, which is missing on a restricted host.
func maxOpenFiles() (uint64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	if limit.Max >= wantedNoFile || exceedsLimits() {
		return wantedNoFile, nil
	}
	return limit.Max, nil
}

// capabilities returns the capabilities that root can have on this host. A host
// that is restricted, or is itself a container, does not have all of them.
func capabilities() ([]string, error) {
	caps, err := capability.NewPid2(0)
	if err == nil {
		err = caps.Load()
	}
	if err != nil {
		return nil, fmt.Errorf("read capabilities: %w", err)
	}
	names := []string{}
	for _, c := range capability.ListKnown() {
		if caps.Get(capability.BOUNDING, c) {
			names = append(names, "CAP_"+strings.ToUpper(c.String()))
		}
	}
	return names, nil
}

// hasCapability reports whether this process may use capability c.
func hasCapability(c uint) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[c/32].Effective&(1<<(c%32)) != 0
}

// exceedsLimits reports whether this process can raise its hard limits and lower its
// OOM score. The kernel asks for the capability over the initial user namespace: root
// of a VPS has it only over its own.
func exceedsLimits() bool { return hasCapability(unix.CAP_SYS_RESOURCE) && userns.Initial() }

// uptime returns the time of the boot clock; 0 on kernels without time namespaces
// (before 5.6) and for a root that may not set clocks, such as that of a VPS. A VPS
// shows the host's uptime there.
func uptime() (time.Duration, error) {
	if _, err := os.Stat("/proc/self/ns/time"); errors.Is(err, fs.ErrNotExist) || !hasCapability(unix.CAP_SYS_TIME) {
		return 0, nil
	}
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0, fmt.Errorf("read the boot clock: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// optionalDevices returns the device nodes that a VPS gets even if the host does
// not have them yet: the kernel loads their modules when they are opened
// (drivers/char/misc.c, char-major-10-MINOR).
func optionalDevices() []bundles.Device {
	all := []bundles.Device{
		{Path: "/dev/fuse", Minor: 229},    // FUSE_MINOR in linux/miscdevice.h
		{Path: "/dev/net/tun", Minor: 200}, // TUN_MINOR
	}
	for n := range all {
		d := &all[n]
		d.Type, d.Major, d.Mode = "c", 10, 0o666
		var st unix.Stat_t
		if err := unix.Stat(d.Path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR {
			d.Absent = true
			continue
		}
		d.Major, d.Minor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	}
	return all
}

// resolvers returns the resolvers that the host asks in the end, and its search
// domains. A resolver on the host's loopback is never among them.
func resolvers() ([]netip.Addr, []string, error) {
	conf, err := os.ReadFile("/etc/resolv.conf")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("read the host's resolvers: %w", err)
	}
	resolved, err := os.ReadFile("/run/systemd/resolve/resolv.conf")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("read the host's resolvers: %w", err)
	}
	return guest.Upstreams(conf, resolved), searchDomains(conf), nil
}

// searchDomains reads the last search line of a resolv.conf(5).
func searchDomains(conf []byte) []string {
	var search []string
	lines := bufio.NewScanner(bytes.NewReader(conf))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 1 && (fields[0] == "search" || fields[0] == "domain") {
			search = fields[1:]
		}
	}
	return search
}
