package vps

import "croft/internal/fail"

// Seccomp is the system-call filter of a VPS. The zero value is the default one.
type Seccomp string

// The filters of a VPS.
const (
	SeccompDefault Seccomp = ""        // denies what reaches past the namespaces
	SeccompMinimal Seccomp = "minimal" // denies only what the kernel's own checks do not hold back
	SeccompOff     Seccomp = "off"     // none
)

// ParseSeccomp is the filter with the name text. The error is fail.Usage.
func ParseSeccomp(text string) (Seccomp, error) {
	switch s := Seccomp(text); s {
	case "default":
		return SeccompDefault, nil
	case SeccompMinimal, SeccompOff:
		return s, nil
	}
	return "", fail.New(fail.Usage, "seccomp: invalid value %q, use default, minimal or off", text)
}

func (s Seccomp) String() string {
	if s == SeccompDefault {
		return "default"
	}
	return string(s)
}

// Check returns fail.Usage if a VPS cannot have the filter. The root of a privileged VPS is
// the host's, and the default filter holds it back where the kernel does not.
func (s Seccomp) Check(privileged bool) error {
	if _, err := ParseSeccomp(s.String()); err != nil {
		return err
	}
	if privileged && s != SeccompDefault {
		return fail.New(fail.Usage, "seccomp: a privileged VPS has the default filter, because its root is root on the host")
	}
	return nil
}

func (v VPS) checkSeccomp() error { return v.Seccomp.Check(v.Privileged) }

// SetSeccomp sets the system-call filter. It takes effect at the next start.
type SetSeccomp struct{ Seccomp Seccomp }

// Apply sets it, or returns fail.Usage.
func (e SetSeccomp) Apply(v *VPS) error {
	if err := e.Seccomp.Check(v.Privileged); err != nil {
		return err
	}
	v.Seccomp = e.Seccomp
	return nil
}

// Part is "".
func (SetSeccomp) Part() Part { return "" }

func (e SetSeccomp) String() string { return "seccomp " + e.Seccomp.String() }
