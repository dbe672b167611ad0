package vps

import (
	"fmt"
	"net/netip"
	"slices"

	"croft/internal/fail"
)

// Limits of a VPS. 0 is unlimited, except where the comment names a default.
type Limits struct {
	Memory    int64     `json:"memoryBytes,omitempty"`    // 0 is a default that depends on the host, -1 no limit
	Swap      int64     `json:"swapBytes,omitempty"`      // swap alone, without memory; -1 is no swap
	MilliCPUs int64     `json:"milliCpus,omitempty"`      // 1500 is one and a half CPUs
	PIDs      int64     `json:"pids,omitempty"`           // 0 is a default that depends on the host, -1 no limit
	MemoryLow int64     `json:"memoryLowBytes,omitempty"` // protected from reclaim; 0 is none
	CPUWeight int64     `json:"cpuWeight,omitempty"`      // 1..MaxWeight; 0 is DefaultWeight
	CPUSet    string    `json:"cpuset,omitempty"`         // CPUs that it may use, as CPUList or AnyCPUs writes them; "" is all
	IOWeight  int64     `json:"ioWeight,omitempty"`       // 1..MaxWeight; 0 is DefaultWeight
	IORead    []IOLimit `json:"ioRead,omitempty"`         // one for each disk at most
	IOWrite   []IOLimit `json:"ioWrite,omitempty"`
}

// Weights, as those of cgroup version 2: a VPS with twice the weight of another gets
// twice as much where both want all.
const (
	DefaultWeight = 100
	MaxWeight     = 10000
)

const (
	// MinMemory is the smallest memory limit of a VPS, in bytes: with less not
	// even a small init starts.
	MinMemory = 4 << 20
	// MinMilliCPUs is the smallest limit of CPU time. The kernel's smallest
	// quota is 1 ms in 100 ms.
	MinMilliCPUs = 10
)

// Check returns fail.Usage for an invalid limit.
func (l Limits) Check() error {
	switch {
	case l.Memory != 0 && l.Memory != -1 && l.Memory < MinMemory:
		return fail.New(fail.Usage, "memory limit of %d bytes is too small for an init: use at least %dM", l.Memory, MinMemory>>20)
	case l.Swap < -1:
		return fail.New(fail.Usage, "invalid swap limit of %d bytes", l.Swap)
	case l.MilliCPUs < 0 || l.MilliCPUs != 0 && l.MilliCPUs < MinMilliCPUs:
		return fail.New(fail.Usage, "cpus: 0.01 is the least")
	case l.PIDs < -1:
		return fail.New(fail.Usage, "invalid number of processes %d", l.PIDs)
	case l.Swap != 0 && l.Memory == -1:
		return fail.New(fail.Usage, "swap is limited only together with memory")
	case l.MemoryLow < 0:
		return fail.New(fail.Usage, "invalid amount of protected memory %d", l.MemoryLow)
	case l.CPUWeight < 0 || l.CPUWeight > MaxWeight:
		return fail.New(fail.Usage, "cpu weight: %d is not from 1 to %d", l.CPUWeight, MaxWeight)
	case l.IOWeight < 0 || l.IOWeight > MaxWeight:
		return fail.New(fail.Usage, "io weight: %d is not from 1 to %d", l.IOWeight, MaxWeight)
	}
	if l.CPUSet != "" {
		if err := CheckCPUSet(l.CPUSet); err != nil {
			return fail.New(fail.Usage, "%w", err)
		}
	}
	if err := checkIO(l.IORead); err != nil {
		return fail.New(fail.Usage, "io read: %w", err)
	}
	if err := checkIO(l.IOWrite); err != nil {
		return fail.New(fail.Usage, "io write: %w", err)
	}
	return nil
}

// clone returns a copy that shares no memory with l.
func (l Limits) clone() Limits {
	l.IORead, l.IOWrite = slices.Clone(l.IORead), slices.Clone(l.IOWrite)
	return l
}

// DNS is the content of resolv.conf inside. Without Servers the VPS gets the
// host's own upstream resolvers.
type DNS struct {
	Servers []string `json:"servers,omitempty"`
	Search  []string `json:"search,omitempty"`
}

// Check returns fail.Usage for a server that a VPS cannot use, and for an invalid
// domain.
func (d DNS) Check() error {
	for _, s := range d.Servers {
		if err := CheckResolver(s); err != nil {
			return fail.New(fail.Usage, "dns: %w", err)
		}
		if a, _ := netip.ParseAddr(s); a.IsLoopback() {
			return fail.New(fail.Usage, "dns: %s is the VPS itself inside", s)
		}
	}
	for _, s := range d.Search {
		if err := CheckSearchDomain(s); err != nil {
			return fail.New(fail.Usage, "dns: %w", err)
		}
	}
	return nil
}

// CheckResolver returns an error for text that is not the address of a DNS
// server.
func CheckResolver(s string) error {
	a, err := netip.ParseAddr(s)
	if err != nil || a.IsUnspecified() || a.IsMulticast() {
		return fmt.Errorf("invalid address of a DNS server %q", s)
	}
	return nil
}
