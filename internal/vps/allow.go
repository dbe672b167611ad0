package vps

import (
	"slices"
	"strings"

	"croft/internal/fail"
)

// The names of Allow. By default a VPS has none of these.
const (
	AllowVsock        = "vsock"        // AF_VSOCK, which has no namespace
	AllowIOURing      = "io_uring"     // io_uring, whose requests the system-call filter does not see
	AllowCapabilities = "capabilities" // all capabilities, over the VPS's own user namespace
)

// CheckAllow returns fail.Usage if a VPS cannot be allowed name. A privileged
// VPS has no user namespace: its capabilities are over the host.
func CheckAllow(name string, privileged bool) error {
	all := []string{AllowVsock, AllowIOURing, AllowCapabilities}
	if !slices.Contains(all, name) {
		return fail.New(fail.Usage, "allow: invalid name %q, use one of %s", name, strings.Join(all, ", "))
	}
	if name == AllowCapabilities && privileged {
		return fail.New(fail.Usage, "allow: a privileged VPS cannot have all capabilities, which would be over the host")
	}
	return nil
}
