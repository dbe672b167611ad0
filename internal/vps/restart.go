package vps

import (
	"fmt"
	"strconv"
	"strings"

	"croft/internal/fail"
)

// RestartWhen says after which ends a VPS that no command has stopped starts again.
type RestartWhen string

// The values of RestartWhen.
const (
	RestartNo        RestartWhen = ""
	RestartOnFailure RestartWhen = "on-failure" // not if it has powered off, or exited with status 0
	RestartAlways    RestartWhen = "always"
)

// A Restart is the restart policy of a VPS. Its text is "no", "on-failure",
// "on-failure:N" or "always".
type Restart struct {
	When RestartWhen
	Most int // with RestartOnFailure: how many restarts are tried; 0 is no limit
}

// MaxRestarts is the largest number of restarts that can be set.
const MaxRestarts = 1000000

// ParseRestart reads the text of a policy. An invalid one is fail.Usage.
func ParseRestart(s string) (Restart, error) {
	when, number, limited := strings.Cut(s, ":")
	r := Restart{When: RestartWhen(when)}
	switch {
	case s == "no":
		return Restart{}, nil
	case r.When == RestartAlways && !limited, r.When == RestartOnFailure && !limited:
		return r, nil
	case r.When != RestartOnFailure:
		return Restart{}, fail.New(fail.Usage, "%q is none of no, on-failure, on-failure:NUMBER, always", s)
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > MaxRestarts {
		return Restart{}, fail.New(fail.Usage, "%q is not a number from 1 to %d", number, MaxRestarts)
	}
	r.Most = n
	return r, nil
}

func (r Restart) String() string {
	switch {
	case r.When == RestartNo:
		return "no"
	case r.Most > 0:
		return fmt.Sprintf("%s:%d", r.When, r.Most)
	}
	return string(r.When)
}

// MarshalText returns the text of the policy.
func (r Restart) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the text of a policy.
func (r *Restart) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRestart(string(text))
	return err
}

// checkRestart refuses a policy for a VPS that is destroyed when it ends.
func (v VPS) checkRestart() error {
	if _, err := ParseRestart(v.Restart.String()); err != nil {
		return err
	}
	if v.Ephemeral && v.Restart.When != RestartNo {
		return fail.New(fail.Usage, "a VPS of run --rm cannot have a restart policy: it is destroyed when its command ends")
	}
	return nil
}

// SetRestart sets the restart policy. A running VPS has it at once.
type SetRestart struct{ Restart Restart }

// Apply sets it.
func (e SetRestart) Apply(v *VPS) error {
	v.Restart = e.Restart
	return nil
}

// Part is "": the monitor reads the policy when the VPS has ended.
func (SetRestart) Part() Part { return "" }

func (e SetRestart) String() string { return "restart " + e.Restart.String() }
