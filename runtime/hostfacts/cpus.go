package hostfacts

import (
	"cmp"
	"os"
	"slices"
	"strconv"
	"strings"

	"croft/internal/vps"
	"croft/runtime/container"
)

// CPUs are the CPUs of a host that croft can choose for a VPS: those that are
// online, that croft's cgroup may use, and to which the kernel moves processes by itself
// (the others are in /sys/devices/system/cpu/isolated). Each has the time for which
// it has worked since the host's boot, in clock ticks.
type CPUs map[int]uint64

// UsableCPUs reads the CPUs of this host.
func UsableCPUs(cgroup container.CgroupManager) CPUs {
	isolated, _ := os.ReadFile("/sys/devices/system/cpu/isolated")
	stat, _ := os.ReadFile("/proc/stat")
	return usableCPUs(onlineCPUs(), container.Engine{Manager: cgroup}.EffectiveCPUs(), strings.TrimSpace(string(isolated)), string(stat))
}

// usableCPUs is UsableCPUs for lists of CPUs and the text of /proc/stat. An empty list of
// allowed CPUs is not known. Isolated CPUs are usable if there are no others.
func usableCPUs(online, allowed, isolated, stat string) CPUs {
	numbers, err := vps.CPUs(online)
	if err != nil {
		return nil
	}
	if list, err := vps.CPUs(allowed); err == nil {
		numbers = slices.DeleteFunc(numbers, func(n int) bool { return !slices.Contains(list, n) })
	}
	if list, err := vps.CPUs(isolated); err == nil {
		rest := slices.DeleteFunc(slices.Clone(numbers), func(n int) bool { return slices.Contains(list, n) })
		if len(rest) > 0 {
			numbers = rest
		}
	}
	worked, all := timesWorked(stat), CPUs{}
	for _, n := range numbers {
		all[n] = worked[n]
	}
	return all
}

// timesWorked returns the time for which each CPU has worked, from the text of /proc/stat
// (proc_stat(5)): all columns but idle and iowait, and those of guests, which are part of
// user and nice.
func timesWorked(stat string) map[int]uint64 {
	all := map[int]uint64{}
	for line := range strings.Lines(stat) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		text, ok := strings.CutPrefix(fields[0], "cpu")
		number, err := strconv.Atoi(text)
		if !ok || err != nil {
			continue
		}
		for column, text := range fields[1:] {
			const idle, ioWait, guest = 3, 4, 8
			if ticks, err := strconv.ParseUint(text, 10, 64); err == nil && column != idle && column != ioWait && column < guest {
				all[number] += ticks
			}
		}
	}
	return all
}

// LeastUsed returns the list of the n CPUs to which the fewest of the lists in pinned
// pin a VPS. Of those with equally many it takes the ones that have worked least, then
// the lowest numbers. If there are fewer CPUs than n, it returns all.
func (c CPUs) LeastUsed(n int, pinned []string) string {
	users := map[int]int{}
	for _, list := range pinned {
		numbers, err := vps.CPUs(list)
		if err != nil {
			continue
		}
		for _, number := range numbers {
			users[number]++
		}
	}
	var all []int
	for number := range c {
		all = append(all, number)
	}
	slices.SortFunc(all, func(a, b int) int {
		return cmp.Or(cmp.Compare(users[a], users[b]), cmp.Compare(c[a], c[b]), cmp.Compare(a, b))
	})
	all = all[:min(n, len(all))]
	slices.Sort(all)
	return vps.CPUList(all)
}

// Has reports whether list has n CPUs, and all of them are in c.
func (c CPUs) Has(list string, n int) bool {
	numbers, err := vps.CPUs(list)
	if err != nil || len(numbers) != n {
		return false
	}
	return !slices.ContainsFunc(numbers, func(number int) bool {
		_, usable := c[number]
		return !usable
	})
}
