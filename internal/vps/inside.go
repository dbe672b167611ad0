package vps

import (
	"bytes"
	"path"
	"strings"

	"croft/internal/fail"
)

// Inside is what croft changes in the own files of a VPS when it is asked to. It is
// not saved: afterwards the files belong to the VPS. The zero value changes nothing.
type Inside struct {
	Access   Access
	TimeZone string // a name of the time zone database, such as Europe/Berlin
	Locale   string // the value of LANG, such as en_US.UTF-8
	UserData []byte // for cloud-init, which reads it at its next start
}

// Any reports whether there is something to change.
func (i Inside) Any() bool {
	return i.Access.Any() || i.TimeZone != "" || i.Locale != "" || len(i.UserData) > 0
}

// Check returns fail.Usage for the first value that is invalid.
func (i Inside) Check() error {
	if err := i.Access.Check(); err != nil {
		return err
	}
	if i.TimeZone != "" {
		if err := CheckTimeZone(i.TimeZone); err != nil {
			return err
		}
	}
	if i.Locale != "" {
		if err := CheckLocale(i.Locale); err != nil {
			return err
		}
	}
	if len(i.UserData) > 0 {
		return CheckUserData(i.UserData)
	}
	return nil
}

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

// CheckTimeZone returns fail.Usage for text that cannot be the name of a time zone.
// Whether there is such a zone depends on the VPS.
func CheckTimeZone(s string) error {
	if s != path.Clean(s) || s[0] == '/' || s[0] == '.' || strings.Trim(s, letters+"0123456789_+-/") != "" {
		return fail.New(fail.Usage, "invalid time zone %q (examples: Europe/Berlin, UTC)", s)
	}
	return nil
}

// CheckLocale returns fail.Usage for text that cannot be the name of a locale.
func CheckLocale(s string) error {
	if s == "" || strings.Trim(s, letters+"0123456789_.@-") != "" || s[0] == '.' || s[0] == '-' {
		return fail.New(fail.Usage, "invalid locale %q (examples: en_US.UTF-8, C.UTF-8)", s)
	}
	return nil
}

// CheckUserData returns fail.Usage for text that cloud-init would ignore. It tells the
// kind by the first line.
func CheckUserData(text []byte) error {
	for _, first := range []string{"#!", "#cloud-", "#include", "#part-handler", "## template:", "Content-Type:", "MIME-Version:", "\x1f\x8b"} {
		if bytes.HasPrefix(text, []byte(first)) {
			return nil
		}
	}
	return fail.New(fail.Usage, "invalid user data: the first line says what it is, such as #cloud-config or #!/bin/sh")
}

// ChangeInside changes the own files of the VPS. No setting changes.
type ChangeInside struct{ Inside }

// Apply checks the values.
func (e ChangeInside) Apply(*VPS) error { return e.Check() }

// Part is that of what is inside: the files of a VPS that does not run change too.
func (ChangeInside) Part() Part { return PartInside }

// String tells no secret.
func (e ChangeInside) String() string {
	var words []string
	if e.Access.Any() {
		words = append(words, "access of "+e.Access.Name())
	}
	if e.TimeZone != "" {
		words = append(words, "time zone "+e.TimeZone)
	}
	if e.Locale != "" {
		words = append(words, "locale "+e.Locale)
	}
	if len(e.UserData) > 0 {
		words = append(words, "user data")
	}
	return strings.Join(words, ", ")
}
