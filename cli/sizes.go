package cli

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"croft/internal/vps"
)

// unlimited is the word for no limit; the Manager's word is 0.
const unlimited = "unlimited"

// parseSize reads bytes: a number, alone or with K, M, G, T, P or E, which are
// powers of 1024, and may be followed by B or iB.
func parseSize(s string) (int64, error) {
	number := strings.TrimRight(s, letters)
	bad := fmt.Errorf("invalid size %q (for example 512M, 1G)", s)
	shift, ok := sizeShift(strings.ToUpper(s[len(number):]))
	whole, fraction, hasFraction := strings.Cut(number, ".")
	n, err := strconv.ParseUint(whole, 10, 63)
	if !ok || err != nil || n > math.MaxInt64>>shift {
		return 0, bad
	}
	bytes := int64(n) << shift
	if hasFraction {
		if shift == 0 || fraction == "" || strings.Trim(fraction, "0123456789") != "" {
			return 0, bad
		}
		part, err := strconv.ParseFloat("0."+fraction, 64)
		if err != nil {
			return 0, bad
		}
		bytes += int64(part * float64(int64(1)<<shift)) // less than the next whole one, so no overflow
	}
	return bytes, nil
}

// sizeShift is the power of two that a unit stands for.
func sizeShift(unit string) (int, bool) {
	if unit == "" || unit == "B" {
		return 0, true
	}
	i := strings.IndexByte(sizeUnits, unit[0])
	return 10 * (i + 1), i >= 0 && slices.Contains([]string{"", "B", "IB"}, unit[1:])
}

// sizeUnits are the powers of 1024, from the first on.
const sizeUnits = "KMGTPE"

// parseMemory reads a limit of memory. No limit is -1 to the Manager, for which
// 0 is the default.
func parseMemory(s string) (int64, error) {
	if s == unlimited {
		return -1, nil
	}
	n, err := parseSize(s)
	if err == nil && n < vps.MinMemory {
		err = fmt.Errorf("%q is too little: at least %dM, or %s", s, vps.MinMemory>>20, unlimited)
	}
	return n, err
}

// parseSwap reads a limit of swap; none at all is -1 to the Manager.
func parseSwap(s string) (int64, error) {
	if s == unlimited {
		return 0, nil
	}
	n, err := parseSize(s)
	if err == nil && n == 0 {
		return -1, nil
	}
	return n, err
}

// parseCPUs reads a number of CPUs as thousandths of one.
func parseCPUs(s string) (int64, error) {
	if s == unlimited {
		return 0, nil
	}
	whole, fraction, _ := strings.Cut(s, ".")
	n, err := strconv.ParseUint(whole+(fraction + "000")[:3], 10, 32)
	if err != nil || len(fraction) > 3 || whole == "" || strings.HasSuffix(s, ".") {
		return 0, fmt.Errorf("invalid number of CPUs %q (for example 2, 0.5, %s)", s, unlimited)
	}
	if n < vps.MinMilliCPUs {
		return 0, fmt.Errorf("%q is too little: at least 0.01, or %s", s, unlimited)
	}
	return int64(n), nil
}

// parsePIDs reads a limit of processes and threads. No limit is -1 to the
// Manager, for which 0 is the default.
func parsePIDs(s string) (int64, error) {
	if s == unlimited {
		return -1, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("invalid number of processes %q (for example 512, %s)", s, unlimited)
	}
	return int64(n), nil
}

// parseIDSize reads how many user ids a VPS has.
func parseIDSize(s string) (uint32, error) {
	const unit = 65536
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n == 0 || n%unit != 0 {
		return 0, fmt.Errorf("invalid number of ids %q: use a multiple of %d; rootless containers inside need at least %d", s, unit, 3*unit)
	}
	return uint32(n), nil
}

// sizeText writes bytes for people: 512B, 1.5K, 20M.
func sizeText(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1023.95 && unit < len(sizeUnits)-1 {
		value, unit = value/1024, unit+1
	}
	if value < 9.95 {
		return fmt.Sprintf("%.1f%c", value, sizeUnits[unit])
	}
	return fmt.Sprintf("%.0f%c", value, sizeUnits[unit])
}
