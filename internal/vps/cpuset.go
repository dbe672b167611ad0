package vps

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxCPU is the highest number of a CPU: Linux has at most 8192 (NR_CPUS).
const maxCPU = 8191

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
			return nil, fmt.Errorf("invalid list of CPUs %q (for example 0-1 or 0,2)", list)
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
