package vps

import (
	"strings"

	"croft/internal/fail"
)

// Inside is what croft changes in the own files of a VPS when it is asked to. It is
// not saved: afterwards the files belong to the VPS. The zero value changes nothing.
type Inside struct {
	Access Access
}

// Any reports whether there is something to change.
func (i Inside) Any() bool { return i.Access.Any() }

// Check returns fail.Usage for the first value that is invalid.
func (i Inside) Check() error { return i.Access.Check() }

// Access is how a user can log in to a VPS.
type Access struct {
	User   string   // is created if it is missing; "" is root
	Groups []string // more groups that the user becomes a member of
	Hash   string   // of the new password (crypt(5)); "" leaves the password
	Keys   []string // lines that authorized_keys (sshd(8)) gets
}

// Any reports whether there is something to change.
func (a Access) Any() bool {
	return a.User != "" || len(a.Groups) > 0 || a.Hash != "" || len(a.Keys) > 0
}

// Name is the name of the user.
func (a Access) Name() string {
	if a.User == "" {
		return "root"
	}
	return a.User
}

// Check returns fail.Usage for a value that would be more than one field or line of
// its file.
func (a Access) Check() error {
	for _, name := range append([]string{a.Name()}, a.Groups...) {
		if err := CheckAccountName(name); err != nil {
			return err
		}
	}
	if a.Hash != "" && !strings.HasPrefix(a.Hash, "$") || strings.ContainsAny(a.Hash, ":\n\x00") {
		return fail.New(fail.Usage, "invalid hash of a password")
	}
	for _, key := range a.Keys {
		if strings.TrimSpace(key) == "" || strings.ContainsAny(key, "\n\r\x00") {
			return fail.New(fail.Usage, "invalid SSH key: it is not one line")
		}
	}
	return nil
}

// CheckAccountName returns fail.Usage for a name that useradd(8) does not take for a
// user or a group.
func CheckAccountName(s string) error {
	const first = "abcdefghijklmnopqrstuvwxyz_"
	if s == "" || len(s) > 32 || !strings.Contains(first, s[:1]) || strings.Trim(s, first+"0123456789-") != "" {
		return fail.New(fail.Usage, "invalid name of a user or group %q: use 1 to 32 of a-z, 0-9, \"-\" and \"_\", and begin with a letter or \"_\"", s)
	}
	return nil
}

// ChangeInside changes the own files of the VPS. No setting changes.
type ChangeInside struct{ Inside }

// Apply checks the values.
func (e ChangeInside) Apply(*VPS) error { return e.Check() }

// Part is that of what is inside: the files of a VPS that does not run change too.
func (ChangeInside) Part() Part { return PartInside }

// String tells no secret.
func (e ChangeInside) String() string { return "access of " + e.Access.Name() }
