// Package restarts decides whether a VPS that has ended starts again, and after
// which pause. It is pure.
package restarts

import (
	"time"

	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/endreason"
)

// The pauses before a restart: the first one, each next one is twice as long, and
// the longest one. After a run of Settled the next pause is the first one again.
const (
	FirstPause   = 100 * time.Millisecond
	LongestPause = time.Minute
	Settled      = 10 * time.Second
)

// Forgotten is how long a VPS has to run before the number of on-failure:NUMBER
// counts from the beginning.
const Forgotten = 10 * time.Minute

// Wants reports whether a VPS with policy p that ended so should start again,
// however often it has been restarted. No command has asked it to stop.
func Wants(p vps.Restart, end state.End) bool {
	switch p.When {
	case vps.RestartAlways:
		return true
	case vps.RestartOnFailure:
		return !endreason.FromInside(end)
	}
	return false
}

// Next returns whether a VPS with policy p that ended so, after it ran for a time,
// starts again: after next.Pause. was is what the VPS had before this end. If it
// does not start again, next is was without its time.
func Next(p vps.Restart, was state.Restarts, end state.End, ran time.Duration) (next state.Restarts, again bool) {
	next = was
	next.At = nil
	if ran >= Forgotten {
		next.Tried = 0
	}
	if !Wants(p, end) || p.Most > 0 && next.Tried >= p.Most {
		return next, false
	}
	pause := 2 * was.Pause()
	if pause == 0 || ran >= Settled {
		pause = FirstPause
	}
	next.PauseMilliseconds = min(pause, LongestPause).Milliseconds()
	next.Count++
	next.Tried++
	next.Last = &end
	return next, true
}
