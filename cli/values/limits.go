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

// Disk reads a limit of a disk. It returns 0 for no limit.
func Disk(s string) (int64, error) {
	if s == Unlimited {
		return 0, nil
	}
	n, err := sizes.Parse(s)
	if err == nil && (n < vps.MinDisk || n > vps.MaxDisk) {
		err = fmt.Errorf("%q is not from %dM to %dT, or %s", s, vps.MinDisk>>20, vps.MaxDisk>>40, Unlimited)
	}
	return n, err
}

// Inodes reads a limit of inodes.
func Inodes(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n < vps.MinInodes {
		return 0, fmt.Errorf("invalid number of inodes %q: at least %d", s, vps.MinInodes)
	}
	return int64(n), nil
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

// Default is the word for no value of one's own.
const Default = "default"

// MemoryLow reads an amount of protected memory. It returns 0 for none.
func MemoryLow(s string) (int64, error) {
	if s == Default {
		return 0, nil
	}
	return sizes.Parse(s)
}

// Weight reads a weight of CPU time or I/O. It returns 0 for the default.
func Weight(s string) (int64, error) {
	if s == Default {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 || n > vps.MaxWeight {
		return 0, fmt.Errorf("invalid weight %q (1 to %d, or %s: %d)", s, vps.MaxWeight, Default, vps.DefaultWeight)
	}
	return int64(n), nil
}

// CPUSet reads a list of CPUs, or any:N for N CPUs that croft chooses. It returns ""
// for all CPUs.
func CPUSet(s string) (string, error) {
	if s == Default || s == Unlimited {
		return "", nil
	}
	if n := vps.CPUCount(s); n > 0 {
		return vps.AnyCPUs(n), nil
	}
	all, err := vps.CPUs(s)
	if err != nil {
		return "", err
	}
	return vps.CPUList(all), nil
}

// IOLimit reads a limit of reads or writes of a disk: [DEVICE:]RATE with bytes per
// second, or [DEVICE:]NUMBERiops. DEVICE "all", and none, is the disk under the VPS's
// files. It returns the zero IOLimit for no limits.
func IOLimit(s string) (vps.IOLimit, error) {
	if s == Unlimited {
		return vps.IOLimit{}, nil
	}
	invalid := fmt.Errorf("invalid limit %q (for example 10M, 100iops, /dev/sda:10M, or %s)", s, Unlimited)
	l, rate := vps.IOLimit{}, s
	if at := strings.LastIndexByte(s, ':'); at >= 0 { // names in /dev/disk/by-path have more of them
		if l.Device, rate = s[:at], s[at+1:]; l.Device == "" {
			return l, invalid
		}
	}
	if l.Device == "all" {
		l.Device = ""
	}
	var err error
	if number, operations := strings.CutSuffix(rate, "iops"); operations {
		l.Operations, err = strconv.ParseInt(number, 10, 64)
	} else {
		l.Bytes, err = sizes.Parse(strings.TrimSuffix(rate, "/s"))
	}
	if err != nil || l.Bytes <= 0 && l.Operations <= 0 {
		return vps.IOLimit{}, invalid
	}
	return l, l.Check()
}
