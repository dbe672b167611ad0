package container

import (
	"os"
	"strconv"
	"strings"

	"github.com/moby/sys/userns"
	"github.com/opencontainers/cgroups/systemd"
)

// RootlessCgroups reports whether cgroups are created only as far as the caller
// is allowed to. mode is true, false, or auto. Auto is true for a caller that
// is not root, and for root of a user namespace.
func RootlessCgroups(mode string, withSystemd bool) (bool, error) {
	if mode != "" && !strings.EqualFold(mode, "auto") {
		return strconv.ParseBool(mode)
	}
	switch {
	case os.Geteuid() != 0:
		return true, nil
	case !userns.RunningInUserNS():
		return false, nil
	case withSystemd:
		// The systemd of the namespace may be its root's own.
		owner, err := systemd.DetectUID()
		return err == nil && owner != 0, nil
	}
	return true, nil
}
