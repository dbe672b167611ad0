package cli

import (
	"fmt"
	"strconv"
	"strings"

	"croft/internal/sizes"
	"croft/internal/vps"
)

// unlimited is the word for no limit; the Manager's word is 0.
const unlimited = "unlimited"

// parseMemory reads a limit of memory. No limit is -1 to the Manager, for which
// 0 is the default.
func parseMemory(s string) (int64, error) {
	if s == unlimited {
		return -1, nil
	}
	n, err := sizes.Parse(s)
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
	n, err := sizes.Parse(s)
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
