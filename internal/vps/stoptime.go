package vps

import "time"

// DefaultStopTimeout is how long a stop of a VPS may take if its settings do not
// say it.
const DefaultStopTimeout = 60 * time.Second

// StopTimeout returns how long a stop of v may take before v is killed.
func (v VPS) StopTimeout() time.Duration {
	if v.StopAfter <= 0 {
		return DefaultStopTimeout
	}
	return time.Duration(v.StopAfter) * time.Second
}
