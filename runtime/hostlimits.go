package runtime

import (
	"fmt"

	"croft/internal/vps"
	"croft/runtime/hostlimits"
)

// kernelLimits are the limits of the host's kernel: hostlimits.
type kernelLimits interface {
	// Read reads the limits and their use; with instances also those of inotify that
	// the host's root has, which takes longer.
	Read(instances bool) hostlimits.State
	// Raise sets a limit, and reports whether it did: not if it is as high already.
	Raise(key string, value int64) (bool, error)
	// Instances counts the instances of inotify that processes have open.
	Instances(pids []int) int64
	// KeyUsers reads what the users of the host have of the kernel's keys.
	KeyUsers() []hostlimits.KeyUser
}

// hostKernel is kernelLimits on the real host.
type hostKernel struct{}

func (hostKernel) Read(instances bool) hostlimits.State { return hostlimits.Read(instances) }

func (hostKernel) Raise(key string, value int64) (bool, error) {
	if have, ok := hostlimits.Value(key); ok && have >= value {
		return false, nil
	}
	return true, hostlimits.Set(key, value)
}

func (hostKernel) Instances(pids []int) int64 { return hostlimits.Instances(pids) }

func (hostKernel) KeyUsers() []hostlimits.KeyUser { return hostlimits.KeyUsers() }

// makeRoom raises the limits of the host that are too low for v, which is about to start,
// or that are nearly reached. It warns of each, and names those that croft does not raise.
func (m *Manager) makeRoom(v vps.VPS) {
	for _, l := range hostlimits.Lacking(m.limits.Read(v.Privileged)) {
		raised, err := false, error(nil)
		if l.Raise && m.mayRaise() {
			if raised, err = m.limits.Raise(l.Key, l.Want); err == nil && !raised {
				continue // another command has raised it
			}
		}
		switch {
		case raised && err == nil:
			m.warn(fmt.Sprintf("%s: raised %s of the host from %d to %d until its next boot: %s", v.Name, l.Key, l.Have, l.Want, l.What))
		case err != nil:
			m.warn(fmt.Sprintf("%s: the host has too little room: %s; run: %s (%v)", v.Name, l, l.Remedy(), err))
		default:
			m.warn(fmt.Sprintf("%s: the host has too little room: %s; run: %s", v.Name, l, l.Remedy()))
		}
	}
}

// mayRaise reports whether the administrator lets croft raise limits of the host.
func (m *Manager) mayRaise() bool {
	if m.keepLimits == nil {
		return true
	}
	keep, err := m.keepLimits()
	if err != nil {
		m.warn(err.Error())
	}
	return err == nil && !keep
}
