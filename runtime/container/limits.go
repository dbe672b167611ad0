package container

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/cgroups"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// SetLimits changes the limits of a running container to those of r, which names
// each of them: bundles.Resources. Disks that are limited and that r does not name
// lose their limits. Memory in use that is above a new limit is reclaimed as far as
// the kernel can. If more stays in use, or the kernel needs too long, nothing has
// changed and the error is fail.State, with the amount. An absent container is
// ErrAbsent.
func (e Engine) SetLimits(id string, r *specs.LinuxResources) error {
	c, err := e.load(id)
	if err != nil {
		return err
	}
	state, err := c.lc.State()
	if err != nil {
		return fmt.Errorf("read container's state: %w", err)
	}
	if limit := *r.Memory.Limit; limit > 0 {
		if err := makeRoom(state.CgroupPaths, limit); err != nil {
			return err
		}
	}
	update, err := complete(r, state.CgroupPaths)
	if err != nil {
		return err
	}
	if err := c.Update(update, RDT{}); err != nil {
		return fmt.Errorf("change limits: %w", err)
	}
	if err := e.keepIOWeight(state.CgroupPaths[""], r.Unified); err != nil {
		return fmt.Errorf("keep share of disks: %w", err)
	}
	return e.protectParent(state.CgroupPaths[""])
}

// complete returns r with what bundles.Resources cannot know: the CPUs that are all
// CPUs for the cgroup with these directories, and the end of limits of disks that r
// does not name.
func complete(r *specs.LinuxResources, dirs map[string]string) (*specs.LinuxResources, error) {
	cpu, io := *r.CPU, specs.LinuxBlockIO{}
	if r.BlockIO != nil {
		io = *r.BlockIO
	}
	if cpu.Cpus == "" {
		cpu.Cpus = allCPUs(dirs)
	}
	all := &specs.LinuxResources{Memory: r.Memory, CPU: &cpu, Pids: r.Pids, BlockIO: &io, Unified: r.Unified}
	if dir := dirs["blkio"]; dir != "" {
		return all, endThrottles(&io, dir)
	}
	if dir := dirs[""]; dir != "" && cgroups.IsCgroup2UnifiedMode() {
		limited, err := os.ReadFile(filepath.Join(dir, "io.max"))
		if err == nil && len(limited) > 0 {
			all.Unified = withEnds(r.Unified, string(limited))
		}
	}
	return all, nil
}

// allCPUs returns the list of CPUs that does not restrict the cgroup; "" if there is
// no cpuset controller. In version 1 that is the list of the cgroup above, in
// version 2 each CPU that the kernel can ever have.
func allCPUs(dirs map[string]string) string {
	file := "/sys/devices/system/cpu/possible"
	if dir := dirs["cpuset"]; dir != "" {
		file = filepath.Join(filepath.Dir(dir), "cpuset.cpus")
	} else if _, err := os.Stat(filepath.Join(dirs[""], "cpuset.cpus")); dirs[""] == "" || err != nil {
		return ""
	}
	list, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(list))
}

// EffectiveCPUs returns the list of CPUs that the cgroup of all VPSs can use, or the one
// above if it does not exist yet; "" if the host does not tell.
func (e Engine) EffectiveCPUs() string {
	root, file, parent := "/sys/fs/cgroup/cpuset", "cpuset.effective_cpus", CgroupParent
	if cgroups.IsCgroup2UnifiedMode() {
		root, file = "/sys/fs/cgroup", "cpuset.cpus.effective"
	}
	if e.Manager.Resolve() == Systemd {
		parent = Slice
	}
	for _, dir := range []string{filepath.Join(root, parent), root} {
		if list, err := os.ReadFile(filepath.Join(dir, file)); err == nil {
			return strings.TrimSpace(string(list))
		}
	}
	return ""
}

// withEnds returns files with the end of each limit in limited, the text of io.max,
// whose disk is not in the new io.max.
func withEnds(files map[string]string, limited string) map[string]string {
	lines := []string{}
	if text := files["io.max"]; text != "" {
		lines = strings.Split(text, "\n")
	}
	for line := range strings.Lines(limited) {
		disk, _, _ := strings.Cut(line, " ")
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, disk+" ") }) {
			lines = append(lines, disk+" rbps=max wbps=max riops=max wiops=max")
		}
	}
	all := map[string]string{"io.max": strings.Join(lines, "\n")}
	for file, value := range files {
		if file != "io.max" {
			all[file] = value
		}
	}
	return all
}

// endThrottles adds to io the end of each limit in the cgroup directory dir of
// version 1 whose disk it does not name.
func endThrottles(io *specs.LinuxBlockIO, dir string) error {
	for _, t := range []struct {
		file string
		to   *[]specs.LinuxThrottleDevice
	}{
		{"read_bps", &io.ThrottleReadBpsDevice}, {"write_bps", &io.ThrottleWriteBpsDevice},
		{"read_iops", &io.ThrottleReadIOPSDevice}, {"write_iops", &io.ThrottleWriteIOPSDevice},
	} {
		limited, err := os.ReadFile(filepath.Join(dir, "blkio.throttle."+t.file+"_device"))
		if os.IsNotExist(err) {
			continue // a kernel without throttling
		}
		if err != nil {
			return fmt.Errorf("read limits of disks: %w", err)
		}
		*t.to = withZeros(*t.to, string(limited))
	}
	return nil
}

// withZeros returns devices with rate 0 for each disk in limited, lines such as
// "8:0 1048576", that is not in devices.
func withZeros(devices []specs.LinuxThrottleDevice, limited string) []specs.LinuxThrottleDevice {
	devices = slices.Clone(devices)
	for line := range strings.Lines(limited) {
		var d specs.LinuxThrottleDevice
		if _, err := fmt.Sscanf(line, "%d:%d", &d.Major, &d.Minor); err != nil {
			continue
		}
		if !slices.ContainsFunc(devices, func(o specs.LinuxThrottleDevice) bool { return o.Major == d.Major && o.Minor == d.Minor }) {
			devices = append(devices, d)
		}
	}
	return devices
}
