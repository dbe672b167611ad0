package values

import (
	"fmt"
	"strconv"
	"strings"

	"croft/internal/sizes"
	"croft/internal/vps"
)

// Unlimited is the word for no limit.
const Unlimited = "unlimited"

// Memory reads a limit of memory. It returns -1 for no limit: the Manager takes
// 0 for the default.
func Memory(s string) (int64, error) {
	if s == Unlimited {
		return -1, nil
	}
	n, err := sizes.Parse(s)
	if err == nil && n < vps.MinMemory {
		err = fmt.Errorf("%q is too little: at least %dM, or %s", s, vps.MinMemory>>20, Unlimited)
	}
	return n, err
}

// Swap reads a limit of swap. It returns 0 for no limit, and -1 for no swap.
func Swap(s string) (int64, error) {
	if s == Unlimited {
		return 0, nil
	}
	n, err := sizes.Parse(s)
	if err == nil && n == 0 {
		return -1, nil
	}
	return n, err
}

// CPUs reads a number of CPUs. It returns thousandths of a CPU; 0 for no limit.
func CPUs(s string) (int64, error) {
	if s == Unlimited {
		return 0, nil
	}
	whole, fraction, _ := strings.Cut(s, ".")
	n, err := strconv.ParseUint(whole+(fraction + "000")[:3], 10, 32)
	if err != nil || len(fraction) > 3 || whole == "" || strings.HasSuffix(s, ".") {
		return 0, fmt.Errorf("invalid number of CPUs %q (for example 2, 0.5, %s)", s, Unlimited)
	}
	if n < vps.MinMilliCPUs {
		return 0, fmt.Errorf("%q is too little: at least 0.01, or %s", s, Unlimited)
	}
	return int64(n), nil
}

// PIDs reads a limit of processes and threads. It returns -1 for no limit: the
// Manager takes 0 for the default.
func PIDs(s string) (int64, error) {
	if s == Unlimited {
		return -1, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("invalid number of processes %q (for example 512, %s)", s, Unlimited)
	}
	return int64(n), nil
}

// IDSize reads the number of user ids of a VPS.
func IDSize(s string) (uint32, error) {
	const unit = 65536
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n == 0 || n%unit != 0 {
		return 0, fmt.Errorf("invalid number of ids %q: use a multiple of %d; rootless containers inside need at least %d", s, unit, 3*unit)
	}
	return uint32(n), nil
}
