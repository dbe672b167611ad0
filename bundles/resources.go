package bundles

import (
	"fmt"
	"math"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/internal/vps"
)

// Disks are the whole disks behind limits of I/O, by vps.IOLimit.Device. One that is
// missing cannot be limited.
type Disks map[string]Disk

// A Disk is a block device that the kernel can limit.
type Disk struct {
	Name         string // in /sys/block
	Major, Minor int64
	Weighs       bool // the kernel shares it by weight
}

// resources are the limits of a new cgroup. What the host cannot limit is left out.
func resources(s Settings) *specs.LinuxResources {
	r := &specs.LinuxResources{Devices: DeviceRules(s.Devices)}
	if s.Capacity.may(s.Capacity.LimitPIDs) {
		// Always set: without a value systemd sets its own default.
		r.Pids = &specs.LinuxPids{Limit: ref(s.pids())}
	}
	memory := specs.LinuxMemory{}
	if m := s.memory(); m > 0 && s.Capacity.may(s.Capacity.LimitMemory) {
		memory.Limit = ref(m)
		switch {
		case s.Limits.Swap > 0:
			memory.Swap = ref(m + s.Limits.Swap) // the spec's swap is memory and swap together
		case s.Limits.Swap < 0:
			memory.Swap = ref(m)
		}
	}
	if low := s.Limits.MemoryLow; low > 0 && s.Capacity.LimitMemory && !s.Capacity.Unified {
		memory.Reservation = ref(low)
	}
	if memory != (specs.LinuxMemory{}) {
		r.Memory = &memory
	}
	r.CPU = cpu(s)
	if s.Capacity.Unified {
		r.Unified = unified(s)
	} else {
		r.BlockIO = blockIO(s)
	}
	return r
}

// may reports whether a limit can be written, of which the host has the controller or not.
// With version 2 the file of a missing controller is missing too, in a VPS for example, to
// which the host has given none.
func (c Capacity) may(has bool) bool { return has || !c.Unified }

func cpu(s Settings) *specs.LinuxCPU {
	r := specs.LinuxCPU{}
	if c := s.Limits.MilliCPUs; c > 0 && s.Capacity.may(s.Capacity.LimitCPU) {
		const period = 100_000 // µs, the kernel's default
		r.Period, r.Quota = ref[uint64](period), ref(c*period/1000)
	}
	if w := s.Limits.CPUWeight; w > 0 && s.Capacity.LimitCPU {
		r.Shares = ref(CPUShares(w))
	}
	if s.Limits.CPUSet != "" && s.Capacity.LimitCPUSet {
		r.Cpus = s.Capacity.usable(s.Limits.CPUSet)
	}
	if r == (specs.LinuxCPU{}) {
		return nil
	}
	return &r
}

// usable returns the CPUs of a list that the host has; all of them, "", if it has
// none of the list, or if croft has not chosen any.
func (c Capacity) usable(list string) string {
	if vps.CPUCount(list) > 0 {
		return ""
	}
	wanted, err := vps.CPUs(list)
	have, err2 := vps.CPUs(c.CPUList)
	if err != nil || err2 != nil {
		return list
	}
	return vps.CPUList(slices.DeleteFunc(wanted, func(n int) bool { return !slices.Contains(have, n) }))
}

// CPUShares returns the shares of version 1 that runtimes convert to a weight of
// version 2 (opencontainers/cgroups, ConvertCPUSharesToCgroupV2Value): 1024 for 100.
func CPUShares(weight int64) uint64 {
	// The inverse of weight = 10^((l*l + 125*l)/612 - 7/34), where l is log2(shares).
	c := 612 * (math.Log10(float64(weight)) + 7.0/34.0)
	l := (math.Sqrt(125*125+4*c) - 125) / 2
	return uint64(max(2, min(262144, math.Floor(math.Exp2(l)*(1+1e-12)))))
}

// bfqWeight converts a weight to one of BFQ, 1..1000, as systemd does
// (BFQ_WEIGHT in src/basic/cgroup-util.h): 100 is the default of both.
func bfqWeight(weight int64) int64 {
	if weight <= vps.DefaultWeight {
		return weight
	}
	return vps.DefaultWeight + (weight-vps.DefaultWeight)*(1000-vps.DefaultWeight)/(vps.MaxWeight-vps.DefaultWeight)
}

// unified are the files of version 2 for what the specification's own fields cannot
// say: weights of I/O that are exact, and the end of a limit.
func unified(s Settings) map[string]string {
	files := map[string]string{}
	if s.Limits.MemoryLow > 0 && s.Capacity.LimitMemory {
		files["memory.low"] = fmt.Sprint(s.Limits.MemoryLow)
	}
	if !s.Capacity.LimitIO {
		return orNil(files)
	}
	if w := s.Limits.IOWeight; w > 0 {
		setWeights(files, s.Capacity, w)
	}
	var lines []string
	for _, t := range throttled(s) {
		lines = append(lines, fmt.Sprintf("%d:%d rbps=%s wbps=%s riops=%s wiops=%s", t.disk.Major, t.disk.Minor,
			orMax(t.read.Bytes), orMax(t.write.Bytes), orMax(t.read.Operations), orMax(t.write.Operations)))
	}
	if len(lines) > 0 {
		files["io.max"] = strings.Join(lines, "\n")
	}
	return orNil(files)
}

func setWeights(files map[string]string, c Capacity, weight int64) {
	if c.IOCost {
		files["io.weight"] = fmt.Sprint(weight)
	}
	if c.BFQ {
		files["io.bfq.weight"] = fmt.Sprint(bfqWeight(weight))
	}
}

func orNil(files map[string]string) map[string]string {
	if len(files) == 0 {
		return nil
	}
	return files
}

func orMax(n int64) string {
	if n == 0 {
		return "max"
	}
	return fmt.Sprint(n)
}

// blockIO are the same limits for version 1.
func blockIO(s Settings) *specs.LinuxBlockIO {
	if !s.Capacity.LimitIO {
		return nil
	}
	r := specs.LinuxBlockIO{}
	any := false
	if w := s.Limits.IOWeight; w > 0 && s.Capacity.BFQ {
		r.Weight, any = ref(uint16(max(10, bfqWeight(w)))), true // runtimes take no less
	}
	add := func(to *[]specs.LinuxThrottleDevice, d Disk, rate int64) {
		if rate > 0 {
			t := specs.LinuxThrottleDevice{Rate: uint64(rate)}
			t.Major, t.Minor = d.Major, d.Minor
			*to, any = append(*to, t), true
		}
	}
	for _, t := range throttled(s) {
		add(&r.ThrottleReadBpsDevice, t.disk, t.read.Bytes)
		add(&r.ThrottleWriteBpsDevice, t.disk, t.write.Bytes)
		add(&r.ThrottleReadIOPSDevice, t.disk, t.read.Operations)
		add(&r.ThrottleWriteIOPSDevice, t.disk, t.write.Operations)
	}
	if !any {
		return nil
	}
	return &r
}

// A throttle is what is read from a disk and written to it.
type throttle struct {
	disk        Disk
	read, write vps.IOLimit
}

// throttled are the limits of all disks, in the order of their numbers. A limit that
// names a disk counts before one for the disk of the VPS's files.
func throttled(s Settings) []throttle {
	byNumber := map[[2]int64]*throttle{}
	at := func(d Disk) *throttle {
		key := [2]int64{d.Major, d.Minor}
		if byNumber[key] == nil {
			byNumber[key] = &throttle{disk: d}
		}
		return byNumber[key]
	}
	apply := func(all []vps.IOLimit, named bool, part func(*throttle) *vps.IOLimit) {
		for _, l := range all {
			d, known := s.Disks[l.Device]
			if !known || named != (l.Device != "") {
				continue
			}
			to := part(at(d))
			if l.Bytes > 0 {
				to.Bytes = l.Bytes
			}
			if l.Operations > 0 {
				to.Operations = l.Operations
			}
		}
	}
	for _, named := range []bool{false, true} {
		apply(s.Limits.IORead, named, func(t *throttle) *vps.IOLimit { return &t.read })
		apply(s.Limits.IOWrite, named, func(t *throttle) *vps.IOLimit { return &t.write })
	}
	var sorted []throttle
	for _, t := range byNumber {
		sorted = append(sorted, *t)
	}
	slices.SortFunc(sorted, func(a, b throttle) int {
		return slices.Compare([]int64{a.disk.Major, a.disk.Minor}, []int64{b.disk.Major, b.disk.Minor})
	})
	return sorted
}

// Resources returns the limits of a VPS on a host of this capacity, for an update of
// its cgroup while it runs. Unlike those of Spec it names each limit that the host
// has, also where there is none, with two exceptions: a disk without a limit is not
// named, and CPU.Cpus is "" for all CPUs.
func Resources(l vps.Limits, c Capacity, disks Disks) *specs.LinuxResources {
	s := Settings{Limits: l, Capacity: c, Disks: disks}
	r := resources(s)
	r.Devices = nil
	if r.Memory == nil {
		r.Memory = &specs.LinuxMemory{}
	}
	if c.may(c.LimitMemory) {
		unset(&r.Memory.Limit, -1)
		unset(&r.Memory.Swap, -1)
	}
	if c.LimitMemory && !c.Unified {
		unset(&r.Memory.Reservation, -1)
	}
	if r.CPU == nil {
		r.CPU = &specs.LinuxCPU{}
	}
	if c.may(c.LimitCPU) {
		unset(&r.CPU.Period, 100_000)
		unset(&r.CPU.Quota, -1)
	}
	if c.LimitCPU {
		unset(&r.CPU.Shares, 1024)
	}
	if c.Unified {
		r.Unified = withDefaults(r.Unified, c)
		return r
	}
	if r.BlockIO == nil {
		r.BlockIO = &specs.LinuxBlockIO{}
	}
	if c.LimitIO && c.BFQ {
		unset(&r.BlockIO.Weight, vps.DefaultWeight)
	}
	return r
}

// withDefaults are files and the defaults of those that are not in it.
func withDefaults(files map[string]string, c Capacity) map[string]string {
	all := map[string]string{}
	if c.LimitMemory {
		all["memory.low"] = "0"
	}
	if c.LimitIO {
		setWeights(all, c, vps.DefaultWeight)
	}
	for file, value := range files {
		all[file] = value
	}
	return orNil(all)
}

// unset gives a value that is not set.
func unset[T any](to **T, value T) {
	if *to == nil {
		*to = &value
	}
}
