// Package signame reads the names of signals.
package signame

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/moby/sys/signal"
)

// The real-time signals as programs number them: the C library keeps 32 and 33.
const (
	RTMin = syscall.Signal(34)
	RTMax = syscall.Signal(64)
)

// Parse returns the signal with this number or name, with or without SIG, in
// small or capital letters: 15, TERM, SIGHUP, RTMIN+4, RTMAX-1.
func Parse(text string) (syscall.Signal, error) {
	if n, err := strconv.ParseUint(text, 10, 8); err == nil && n >= 1 && n <= uint64(RTMax) {
		return syscall.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	if sig, ok := signal.SignalMap[name]; ok {
		return sig, nil
	}
	if sig, ok := realTime(name); ok {
		return sig, nil
	}
	return 0, fmt.Errorf("unknown signal %q (for example TERM, SIGHUP, 15, RTMIN+4)", text)
}

// realTime reads RTMIN+N and RTMAX-N. The table of the library ends at RTMIN+15,
// as that of kill(1) does, but systemd has signals up to RTMIN+29.
func realTime(name string) (syscall.Signal, bool) {
	for base, start := range map[string]syscall.Signal{"RTMIN": RTMin, "RTMAX": RTMax} {
		offset, ok := strings.CutPrefix(name, base)
		if !ok || offset == "" || offset[0] != '+' && offset[0] != '-' {
			continue
		}
		if n, err := strconv.Atoi(offset); err == nil {
			sig := start + syscall.Signal(n)
			return sig, sig >= RTMin && sig <= RTMax
		}
	}
	return 0, false
}
