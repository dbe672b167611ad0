package container

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// withLimits returns p as it has to be started from this process to have its
// resource limits.
//
// Usually that is p: libcontainer sets the limits of the new process. But a
// process in a user namespace that is not its caller's own takes
// CAP_SYS_RESOURCE for that (check_prlimit_permission in kernel/sys.c), which
// root of a restricted host lacks. There this process takes the limits itself,
// for good, and the new one inherits them.
func withLimits(p *specs.Process) (*specs.Process, error) {
	if may, err := mayRaiseLimits(); err != nil || may {
		return p, err
	}
	for _, r := range p.Rlimits {
		number, err := rlimit(r.Type)
		if err != nil {
			return nil, err
		}
		var own unix.Rlimit
		if err := unix.Getrlimit(number, &own); err != nil {
			return nil, fmt.Errorf("read %s: %w", r.Type, err)
		}
		hard := min(r.Hard, own.Max) // the caller of a command may have lower limits than the caller that started the VPS
		if err := unix.Setrlimit(number, &unix.Rlimit{Cur: min(r.Soft, hard), Max: hard}); err != nil {
			return nil, fmt.Errorf("set %s to %d:%d: %w", r.Type, r.Soft, hard, err)
		}
	}
	inheriting := *p
	inheriting.Rlimits = nil
	return &inheriting, nil
}

func mayRaiseLimits() (bool, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return false, fmt.Errorf("read capabilities: %w", err)
	}
	return caps[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0, nil
}
