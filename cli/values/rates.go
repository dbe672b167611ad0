package values

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"croft/internal/vps"
)

// Rate reads [INTERFACE:]RATE[,in=RATE][,out=RATE].
func Rate(s string) (vps.SetRate, error) {
	var r vps.SetRate
	text := s
	if name, rest, ok := strings.Cut(s, ":"); ok {
		if name == "" {
			return r, fmt.Errorf("%q has no interface before the colon (for example eth0:10M)", s)
		}
		var err error
		if r.Interface, err = Interface(name); err != nil {
			return r, err
		}
		text = rest
	}
	seen := map[string]bool{}
	for n, part := range strings.Split(text, ",") {
		direction, value, ok := strings.Cut(part, "=")
		if !ok {
			direction, value = "", part
		}
		if seen[direction] || !ok && n > 0 {
			return r, fmt.Errorf("%q gives a rate twice", s)
		}
		seen[direction] = true
		bits, err := Bits(value)
		if err != nil {
			return r, err
		}
		switch direction {
		case "":
			r.In, r.Out = &bits, &bits
		case "in":
			r.In = &bits
		case "out":
			r.Out = &bits
		default:
			return r, fmt.Errorf("unknown direction %q: use in or out", direction)
		}
	}
	return r, nil
}

// Bits reads bits per second. It returns 0 for no limit.
func Bits(s string) (uint64, error) {
	if s == Unlimited {
		return 0, nil
	}
	const units = "KMGT"
	number, factor := s, 1.0
	if n := len(s) - 1; n > 0 {
		if i := strings.IndexByte(units, strings.ToUpper(s)[n]); i >= 0 {
			number, factor = s[:n], math.Pow(1000, float64(i+1))
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || strings.Trim(number, "0123456789.") != "" {
		return 0, fmt.Errorf("invalid rate %q (for example 64K, 10M, 1.5G, %s)", s, Unlimited)
	}
	if bits := n * factor; bits >= vps.LeastRate && bits <= vps.MostRate {
		return uint64(math.Round(bits)), nil
	}
	return 0, fmt.Errorf("rate %q is out of range: use %s to %s bits per second, or %s", s, bitsText(vps.LeastRate), bitsText(vps.MostRate), Unlimited)
}

// bitsText writes bits per second for people, as Bits reads them.
func bitsText(n uint64) string {
	if n == 0 {
		return Unlimited
	}
	const units = " KMGT"
	value, unit := float64(n), 0
	for value >= 1000 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	return strings.TrimSpace(strconv.FormatFloat(value, 'f', -1, 64) + units[unit:unit+1])
}

// Connections reads a limit of connections.
func Connections(s string) (int64, error) {
	switch s {
	case "default":
		return vps.DefaultConnections, nil
	case Unlimited:
		return vps.UnlimitedConnections, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < vps.LeastConnections || n > vps.MostConnections {
		return 0, fmt.Errorf("invalid number %q: use %d to %d, %s or default", s, vps.LeastConnections, vps.MostConnections, Unlimited)
	}
	return n, nil
}
