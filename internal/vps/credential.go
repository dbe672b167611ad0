package vps

import (
	"slices"
	"strings"

	"croft/internal/fail"
)

// MaxCredential is the largest size of a credential, in bytes: systemd takes no more of
// all together (src/shared/creds-util.h).
const MaxCredential = 1 << 20

// A Credential is a secret that services of a VPS can read. Its value is not among the
// settings: it is in a file of its own.
type Credential struct {
	Name string `json:"name"`
	// Version tells values of the same name apart; it is in the name of the file.
	Version string `json:"version"`
}

// File is the name of the file with the value.
func (c Credential) File() string { return c.Name + ":" + c.Version }

// CheckCredential returns fail.Usage for a name that systemd does not take as that of a
// credential, or that is not a plain name of a file.
func CheckCredential(name string) error {
	if name == "" || len(name) > 100 || name[0] == '.' || strings.Trim(name, letters+"0123456789._-") != "" {
		return fail.New(fail.Usage, "invalid name of a credential %q: use 1 to 100 letters, digits, \".\", \"_\" and \"-\", and no \".\" at the beginning", name)
	}
	return nil
}

func (v VPS) checkCredentials() error {
	for n, c := range v.Credentials {
		if err := CheckCredential(c.Name); err != nil {
			return err
		}
		if c.Version == "" || strings.Trim(c.Version, letters+"0123456789") != "" {
			return fail.New(fail.Usage, "invalid version %q of the credential %s", c.Version, c.Name)
		}
		if slices.ContainsFunc(v.Credentials[:n], func(o Credential) bool { return o.Name == c.Name }) {
			return fail.New(fail.Usage, "the credential %s is there twice", c.Name)
		}
	}
	return nil
}

// SetCredential gives the VPS a credential, or replaces its value. It takes effect at
// the next start. The caller of the edit writes the file.
type SetCredential struct {
	Credential
	Value []byte
}

// Apply sets it.
func (e SetCredential) Apply(v *VPS) error {
	if len(e.Value) > MaxCredential {
		return fail.New(fail.Usage, "the credential %s has more than %d bytes", e.Name, MaxCredential)
	}
	v.Credentials = append(withoutCredential(v.Credentials, e.Name), e.Credential)
	return nil
}

// Part is "".
func (SetCredential) Part() Part { return "" }

// String tells no secret.
func (e SetCredential) String() string { return "credential " + e.Name }

// RemoveCredential removes a credential. No-op without it. It takes effect at the next
// start.
type RemoveCredential struct{ Name string }

// Apply removes it.
func (e RemoveCredential) Apply(v *VPS) error {
	v.Credentials = withoutCredential(v.Credentials, e.Name)
	return nil
}

// Part is "".
func (RemoveCredential) Part() Part { return "" }

func (e RemoveCredential) String() string { return "remove credential " + e.Name }

func withoutCredential(all []Credential, name string) []Credential {
	return slices.DeleteFunc(slices.Clone(all), func(c Credential) bool { return c.Name == name })
}

// CredentialsSet returns the credentials that the edits set, with their values.
func CredentialsSet(edits ...Edit) []SetCredential {
	var all []SetCredential
	for _, e := range edits {
		if later, ok := e.(AtRestart); ok {
			e = later.Edit
		}
		if c, ok := e.(SetCredential); ok {
			all = append(all, c)
		}
	}
	return all
}
