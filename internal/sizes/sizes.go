// Package sizes reads and writes sizes in bytes, in powers of 1024, as croft
// documents them. croft oci reads sizes by docker/go-units, as runc does. That
// library does not fit here: it accepts blanks and ".5k", has no E, does not
// notice an overflow, and writes 4 digits where croft's tables have 2.
package sizes

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"croft/internal/pattern"
)

// prefixes are the powers of 1024, from the first on.
const prefixes = "KMGTPE"

// grammar is a number, alone or with a unit: B, or K, M, G, T, P or E, which B
// or iB may follow. Only a number with a power of 1024 may have a fraction.
var grammar = pattern.New(`(?i)^([0-9]+)(\.[0-9]+)?(?:([KMGTPE])(?:I?B)?|B)?$`)

// Parse returns the bytes of a size: 512M, 1.5G, 64KiB, 4096. 8 EiB or more are
// invalid.
func Parse(text string) (int64, error) {
	bad := fmt.Errorf("invalid size %q (for example 512M, 1G)", text)
	parts := grammar().FindStringSubmatch(text)
	if parts == nil || parts[2] != "" && parts[3] == "" {
		return 0, bad
	}
	shift := 0
	if parts[3] != "" {
		shift = 10 * (strings.Index(prefixes, strings.ToUpper(parts[3])) + 1)
	}
	n, err := strconv.ParseUint(parts[1], 10, 63)
	if err != nil || n > math.MaxInt64>>shift {
		return 0, bad
	}
	bytes := int64(n) << shift
	if parts[2] != "" {
		part, err := strconv.ParseFloat("0"+parts[2], 64)
		if err != nil {
			return 0, bad
		}
		bytes += int64(part * float64(int64(1)<<shift)) // less than the next whole number, so no overflow
	}
	return bytes, nil
}

// Text writes bytes for people: 512B, 1.5K, 20M.
func Text(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1023.95 && unit < len(prefixes)-1 {
		value, unit = value/1024, unit+1
	}
	if value < 9.95 {
		return fmt.Sprintf("%.1f%c", value, prefixes[unit])
	}
	return fmt.Sprintf("%.0f%c", value, prefixes[unit])
}
