package hostfacts

import (
	"errors"
	"fmt"
	"slices"

	"croft/bundles"
	"croft/internal/fail"
	"croft/internal/vps"
)

// EffectiveLimits returns l with the defaults of a host of capacity c for the
// limits that are not set.
func EffectiveLimits(l vps.Limits, c bundles.Capacity) vps.Limits {
	if l.PIDs == 0 {
		l.PIDs = c.DefaultPIDs()
	}
	if l.Memory == 0 {
		l.Memory = c.DefaultMemory()
	}
	return l
}

// Exceeding returns a warning for each limit of now that was does not have and that is
// higher than what a host of capacity c has. It is not an error: settings can come from a
// larger host, and a host can grow.
func Exceeding(was, now vps.Limits, c bundles.Capacity) []string {
	var all []string
	if c.CPUs > 0 && now.MilliCPUs > c.CPUs*1000 && now.MilliCPUs != was.MilliCPUs {
		all = append(all, fmt.Sprintf("its limit of %g CPUs is more than the %d CPUs of this host", float64(now.MilliCPUs)/1000, c.CPUs))
	}
	if c.Memory > 0 && now.Memory > c.Memory && now.Memory != was.Memory {
		all = append(all, fmt.Sprintf("its memory limit of %s is more than the %s of memory of this host", inGiB(now.Memory), inGiB(c.Memory)))
	}
	if c.Memory > 0 && now.MemoryLow > c.Memory && now.MemoryLow != was.MemoryLow {
		all = append(all, fmt.Sprintf("its protected memory of %s is more than the %s of memory of this host", inGiB(now.MemoryLow), inGiB(c.Memory)))
	}
	return all
}

func inGiB(bytes int64) string { return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30)) }

// CheckCPUs is fail.Usage if a host of capacity c does not have all CPUs in list, or not
// as many as vps.AnyCPUs says.
func CheckCPUs(list string, c bundles.Capacity) error {
	if n := vps.CPUCount(list); c.CPUs > 0 && int64(n) > c.CPUs {
		return fail.New(fail.Usage, "cpuset: this host does not have %d CPUs, it has %d", n, c.CPUs)
	}
	missing := missingCPUs(list, c)
	switch {
	case len(missing) == 0:
		return nil
	case list == vps.CPUList(missing[:1]) && missing[0] > 0: // it may be meant as a number of CPUs, as with other tools
		return fail.New(fail.Usage, "cpuset: this host does not have CPU %s, it has %s (%s is a number of CPUs)", list, c.CPUList, vps.AnyCPUs(missing[0]))
	}
	return fail.New(fail.Usage, "cpuset: this host does not have CPU %s, it has %s", vps.CPUList(missing), c.CPUList)
}

// missingCPUs returns the CPUs in list that the host does not have; none if it is not
// known which it has.
func missingCPUs(list string, c bundles.Capacity) []int {
	have, err := vps.CPUs(c.CPUList)
	if err != nil || list == "" {
		return nil
	}
	wanted, err := vps.CPUs(list)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(wanted, func(n int) bool { return slices.Contains(have, n) })
}

// IODevices returns the devices with a limit of reads or writes, as vps.IOLimit.Device
// has them.
func IODevices(l vps.Limits) []string {
	var all []string
	for _, limit := range slices.Concat(l.IORead, l.IOWrite) {
		all = append(all, limit.Device)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// devicesOf returns the devices whose disks l is about. A weight is about the disk
// under the VPS's files.
func devicesOf(l vps.Limits) []string {
	all := IODevices(l)
	if l.IOWeight > 0 && !slices.Contains(all, "") {
		all = slices.Insert(all, 0, "")
	}
	return all
}

// FindDisks returns the disks that l is about, as find finds them, and the errors of
// those that it does not find.
func FindDisks(l vps.Limits, find func(device string) (bundles.Disk, error)) (bundles.Disks, error) {
	disks, failed := bundles.Disks{}, error(nil)
	for _, device := range devicesOf(l) {
		d, err := find(device)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		disks[device] = d
	}
	return disks, failed
}

// A lack is a limit that the kernel of a host does not have.
type lack struct {
	option string // that sets it
	effect string // on a VPS
	reason string // what the kernel does
	hint   string // a command that may help
}

// lacking returns what a host of capacity c lacks for the limits of now that was does
// not have.
func lacking(was, now vps.Limits, c bundles.Capacity) []lack {
	var all []lack
	add := func(wanted bool, l lack) {
		if wanted {
			all = append(all, l)
		}
	}
	const noIO = "has no cgroup controller of I/O"
	weight := now.IOWeight > 0 && now.IOWeight != was.IOWeight
	const noMemory = "has no cgroup controller of memory"
	add(now.Memory > 0 && now.Memory != was.Memory && !c.LimitMemory,
		lack{option: "memory", effect: "its memory is not limited", reason: noMemory})
	add(now.Swap != 0 && now.Swap != was.Swap && !c.LimitMemory,
		lack{option: "swap", effect: "its swap is not limited", reason: noMemory})
	add(now.MilliCPUs > 0 && now.MilliCPUs != was.MilliCPUs && !c.LimitCPU,
		lack{option: "cpus", effect: "its CPU time is not limited", reason: "has no cgroup controller of CPU time"})
	add(now.MemoryLow > 0 && now.MemoryLow != was.MemoryLow && !c.LimitMemory,
		lack{option: "memory-low", effect: "its memory is not protected", reason: noMemory})
	add(now.CPUWeight > 0 && now.CPUWeight != was.CPUWeight && !c.LimitCPU,
		lack{option: "cpu-weight", effect: "its CPU weight has no effect", reason: "has no cgroup controller of CPU time"})
	add(now.CPUSet != "" && now.CPUSet != was.CPUSet && !c.LimitCPUSet,
		lack{option: "cpuset", effect: "it may use all CPUs", reason: "has no cgroup controller of CPU sets"})
	add(weight && !c.LimitIO, lack{option: "io-weight", effect: "its I/O weight has no effect", reason: noIO})
	add(weight && c.LimitIO && !c.IOCost && !c.BFQ,
		lack{option: "io-weight", effect: "its I/O weight has no effect", reason: "has no I/O weights", hint: "modprobe bfq"})
	add(len(now.IORead) > 0 && !slices.Equal(now.IORead, was.IORead) && !c.LimitIO,
		lack{option: "io-read", effect: "its limits of reads have no effect", reason: noIO})
	add(len(now.IOWrite) > 0 && !slices.Equal(now.IOWrite, was.IOWrite) && !c.LimitIO,
		lack{option: "io-write", effect: "its limits of writes have no effect", reason: noIO})
	return all
}

// CheckSupported is fail.Host if the kernel of a host of capacity c does not have a
// limit of now that was does not have.
func CheckSupported(was, now vps.Limits, c bundles.Capacity) error {
	all := lacking(was, now, c)
	if len(all) == 0 {
		return nil
	}
	err := fail.New(fail.Host, "cannot set --%s: this host's kernel %s", all[0].option, all[0].reason)
	if all[0].hint != "" {
		return err.WithHint("%s", all[0].hint)
	}
	return err
}

// Unmet returns a warning for each limit of now that was does not have and that has no
// effect on a host of capacity c with these disks.
func Unmet(was, now vps.Limits, c bundles.Capacity, disks bundles.Disks) []string {
	var all []string
	add := func(unmet bool, format string, args ...any) {
		if unmet {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	for _, lack := range lacking(was, now, c) {
		add(true, "%s: this host's kernel %s", lack.effect, lack.reason)
	}
	if c.LimitCPUSet && now.CPUSet != was.CPUSet {
		missing, n := missingCPUs(now.CPUSet, c), vps.CPUCount(now.CPUSet)
		add(len(missing) > 0, "its list of CPUs has %s, which this host does not have: it has %s", vps.CPUList(missing), c.CPUList)
		add(c.CPUs > 0 && int64(n) > c.CPUs, "it has all CPUs of this host, which has %d: it should have %d", c.CPUs, n)
	}
	if !c.LimitIO {
		return all
	}
	for _, device := range devicesOf(now) {
		d, found := disks[device]
		name := device
		if device == "" {
			name = "under its files"
		}
		weighed := device == "" && now.IOWeight > 0 && now.IOWeight != was.IOWeight
		add(!found && (weighed || !slices.Equal(limitsOf(was, device), limitsOf(now, device))),
			"its limits have no effect on the disk %s: it cannot be limited", name)
		add(found && weighed && !d.Weighs && (c.BFQ || c.IOCost),
			"its I/O weight has no effect: the disk %s has another I/O scheduler than bfq (echo bfq >/sys/block/%[1]s/queue/scheduler)", d.Name)
	}
	return all
}

// limitsOf returns the limits in l of reads and of writes of a device.
func limitsOf(l vps.Limits, device string) []vps.IOLimit {
	limits := make([]vps.IOLimit, 2)
	for n, all := range [][]vps.IOLimit{l.IORead, l.IOWrite} {
		if at := slices.IndexFunc(all, func(o vps.IOLimit) bool { return o.Device == device }); at >= 0 {
			limits[n] = all[at]
		}
	}
	return limits
}
