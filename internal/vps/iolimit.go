package vps

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"croft/internal/fail"
)

// An IOLimit bounds what a VPS reads from one disk, or writes to it.
type IOLimit struct {
	// Device is the path of a block device; "" is the disk under the VPS's files.
	Device     string `json:"device,omitempty"`
	Bytes      int64  `json:"bytesPerSecond,omitempty"`      // 0 is unlimited
	Operations int64  `json:"operationsPerSecond,omitempty"` // 0 is unlimited
}

// MinIOBytes is the smallest rate of reads or writes, in bytes per second: with less
// a VPS does not boot.
const MinIOBytes = 64 << 10

// MinIOOperations is the smallest number of reads or writes per second.
const MinIOOperations = 10

// maxIO is the largest rate. Version 1 of cgroups reads operations as 32 bits.
const maxIO = 1<<31 - 1

// Check returns fail.Usage for an invalid limit.
func (l IOLimit) Check() error {
	switch {
	case l.Device != "" && (!strings.HasPrefix(l.Device, "/dev/") || path.Clean(l.Device) != l.Device || strings.ContainsAny(l.Device, " \t\n\x00")):
		return fail.New(fail.Usage, "invalid path of a disk %q (for example /dev/sda)", l.Device)
	case l.Bytes != 0 && l.Bytes < MinIOBytes:
		return fail.New(fail.Usage, "%d bytes per second are too few for a VPS: use at least %dK", l.Bytes, MinIOBytes>>10)
	case l.Operations != 0 && l.Operations < MinIOOperations:
		return fail.New(fail.Usage, "%d operations per second are too few for a VPS: use at least %d", l.Operations, MinIOOperations)
	case l.Operations > maxIO:
		return fail.New(fail.Usage, "%d operations per second are too many: use at most %d", l.Operations, maxIO)
	}
	return nil
}

// Words are the values of an option that set the limit. size writes bytes.
func (l IOLimit) Words(size func(int64) string) []string {
	var all []string
	device := ""
	if l.Device != "" {
		device = l.Device + ":"
	}
	if l.Bytes != 0 {
		all = append(all, device+size(l.Bytes))
	}
	if l.Operations != 0 {
		all = append(all, fmt.Sprintf("%s%diops", device, l.Operations))
	}
	return all
}

func (l IOLimit) String() string {
	return strings.Join(l.Words(func(n int64) string { return strconv.FormatInt(n, 10) }), ", ")
}

// checkIO returns fail.Usage for an invalid list.
func checkIO(all []IOLimit) error {
	for n, l := range all {
		if err := l.Check(); err != nil {
			return err
		}
		if slices.ContainsFunc(all[:n], func(o IOLimit) bool { return o.Device == l.Device }) {
			return fail.New(fail.Usage, "two limits for the disk %q", l.Device)
		}
	}
	return nil
}

// WithIO returns all with the values of l that are not 0 for l's device.
func WithIO(all []IOLimit, l IOLimit) []IOLimit {
	all = slices.Clone(all)
	at := slices.IndexFunc(all, func(o IOLimit) bool { return o.Device == l.Device })
	if at < 0 {
		return append(all, l)
	}
	if l.Bytes != 0 {
		all[at].Bytes = l.Bytes
	}
	if l.Operations != 0 {
		all[at].Operations = l.Operations
	}
	return all
}
