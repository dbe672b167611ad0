package vps

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxCPU is the highest number of a CPU: Linux has at most 8192 (NR_CPUS).
const maxCPU = 8191

// anyCPUs comes before the number of CPUs in a CPU set that names none.
const anyCPUs = "any:"

// AnyCPUs is the CPU set of n CPUs that croft chooses at each start.
func AnyCPUs(n int) string { return anyCPUs + strconv.Itoa(n) }

// CPUCount returns the number of CPUs in a CPU set of AnyCPUs; 0 if set is another one.
func CPUCount(set string) int {
	text, any := strings.CutPrefix(set, anyCPUs)
	n, err := strconv.ParseUint(text, 10, 16)
	if !any || err != nil || n > maxCPU+1 {
		return 0
	}
	return int(n)
}

// CheckCPUSet returns an error unless set is a list of CPUs or one of AnyCPUs.
func CheckCPUSet(set string) error {
	if CPUCount(set) > 0 {
		return nil
	}
	_, err := CPUs(set)
	return err
}

// CPUs returns the numbers in a list such as 0-3,8 (cpuset(7), List format), sorted.
func CPUs(list string) ([]int, error) {
	var all []int
	for part := range strings.SplitSeq(list, ",") {
		low, high, ranged := strings.Cut(part, "-")
		if !ranged {
			high = low
		}
		first, err1 := strconv.ParseUint(low, 10, 16)
		last, err2 := strconv.ParseUint(high, 10, 16)
		if err1 != nil || err2 != nil || last < first || last > maxCPU {
			return nil, fmt.Errorf("invalid list of CPUs %q (for example 0-1 or 0,2, and %s for two CPUs that croft chooses)", list, AnyCPUs(2))
		}
		for n := first; n <= last; n++ {
			all = append(all, int(n))
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// CPUList writes sorted numbers as a list, as the kernel does.
func CPUList(all []int) string {
	var parts []string
	for n := 0; n < len(all); {
		end := n
		for end+1 < len(all) && all[end+1] == all[end]+1 {
			end++
		}
		text := strconv.Itoa(all[n])
		if end > n {
			text += "-" + strconv.Itoa(all[end])
		}
		parts, n = append(parts, text), end+1
	}
	return strings.Join(parts, ",")
}
