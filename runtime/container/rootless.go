package container

import (
	"os"
	"strconv"
	"strings"

	"github.com/moby/sys/userns"
	"github.com/opencontainers/cgroups/systemd"
)

// RootlessCgroups says whether cgroups are to be made as far as the caller may
// and no further: mode is true, false, or auto. Auto is true for one who is not
// root, or root of a user namespace only.
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
