package runtime

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	goruntime "runtime"
	"strings"
	"time"

	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"

	"croft/bundles"
	"croft/internal/state"
	"croft/network/guest"
	"croft/runtime/container"
)

// hostFacts asks the host what starts and creates need to know of it.
func hostFacts(cgroups container.CgroupManager, store *state.Store) (Host, error) {
	h := Host{Cgroups: cgroups.Resolve(), Arch: goruntime.GOARCH, Devices: hostDevices()}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Host{}, fmt.Errorf("read the host's boot id: %w", err)
	}
	h.BootID = strings.TrimSpace(string(boot))
	if h.Impassable, err = store.Impassable(); err != nil {
		return Host{}, err
	}
	if h.Caps, err = hostCapabilities(); err != nil {
		return Host{}, err
	}
	if h.NoFile, err = hostNoFile(); err != nil {
		return Host{}, err
	}
	h.Capacity, h.OOMScoreAdj = hostCapacity(), hostOOMScoreAdj()
	if h.Uptime, err = hostUptime(); err != nil {
		return Host{}, err
	}
	if h.Upstreams, h.Search, err = hostResolvers(); err != nil {
		return Host{}, err
	}
	return h, nil
}

// wantedNoFile is the hard limit of open files of a VPS where the host allows
// it: what systemd gives to services of a machine.
const wantedNoFile = 1 << 20

// hostNoFile is how many files a VPS may have open: raising the hard limit
// takes CAP_SYS_RESOURCE, which a restricted host may not have.
func hostNoFile() (uint64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	if limit.Max >= wantedNoFile || hasCapability(unix.CAP_SYS_RESOURCE) {
		return wantedNoFile, nil
	}
	return limit.Max, nil
}

// hostCapabilities are those that this host lets anybody have: a restricted
// one, or one that is a container itself, has not all of them.
func hostCapabilities() ([]string, error) {
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

// hostUptime is what the boot clock shows, 0 on kernels without time
// namespaces (before 5.6), where a VPS shows the host's.
func hostUptime() (time.Duration, error) {
	if _, err := os.Stat("/proc/self/ns/time"); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0, fmt.Errorf("read the boot clock: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// hostDevices are the nodes beside the usual ones that a VPS gets if the host
// has them.
func hostDevices() []bundles.Device {
	var have []bundles.Device
	for _, path := range []string{"/dev/fuse", "/dev/net/tun"} {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR {
			continue
		}
		have = append(have, bundles.Device{Path: path, Type: "c", Mode: 0o666,
			Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev))})
	}
	return have
}

// hostResolvers are the resolvers that the host itself asks in the end, never
// one on its own loopback.
func hostResolvers() ([]netip.Addr, []string, error) {
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
