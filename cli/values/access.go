package values

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"golang.org/x/crypto/ssh"

	"croft/internal/vps"
)

// rounds of SHA-512 make one guess of a password cost about 50 ms. The default of
// crypt(5), 5000, is of the year 2007.
const rounds = 100_000

// mostPassword is the longest password that is taken, in bytes: PAM's bound.
const mostPassword = 512

// Password reads the password in the first line of text and returns its hash, in the
// format that every distribution knows: SHA-512 (crypt(5)). Errors do not contain the
// password.
func Password(text []byte) (hash string, err error) {
	line, rest, _ := bytes.Cut(text, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	switch {
	case len(rest) > 0:
		return "", fmt.Errorf("there is more than one line: a password is one line")
	case len(line) == 0:
		return "", fmt.Errorf("the password is empty")
	case len(line) > mostPassword:
		return "", fmt.Errorf("the password has more than %d bytes", mostPassword)
	case bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", fmt.Errorf("the password has a control character, which cannot be typed at a login")
	}
	hasher, err := shacrypt.New(shacrypt.WithSHA512(), shacrypt.WithIterations(rounds))
	if err != nil {
		return "", err
	}
	digest, err := hasher.Hash(string(line))
	if err != nil {
		return "", err
	}
	return digest.Encode(), nil
}

// SSHKeys reads the lines of an authorized_keys file (sshd(8)). Empty lines and
// comments are left out.
func SSHKeys(text []byte) ([]string, error) {
	var keys []string
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if strings.Contains(line, "PRIVATE KEY") {
			return nil, fmt.Errorf("line %d is of a private key: give the public key, the file with the ending .pub", n)
		}
		if _, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(line)); err != nil || len(rest) > 0 {
			return nil, fmt.Errorf("line %d is not a public SSH key, as in ~/.ssh/id_ed25519.pub", n)
		}
		keys = append(keys, line)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("there is no public SSH key")
	}
	return keys, nil
}

// Login reads NAME or NAME:GROUP,GROUP: a user who gets access.
func Login(s string) (vps.Access, error) {
	name, groups, found := strings.Cut(s, ":")
	a := vps.Access{User: name}
	if found {
		a.Groups = strings.Split(groups, ",")
	}
	if name == "" {
		return a, fmt.Errorf("invalid user %q (examples: deploy, deploy:sudo,adm)", s)
	}
	return a, a.Check()
}

// TimeZone reads the name of a time zone.
func TimeZone(s string) (string, error) { return s, vps.CheckTimeZone(s) }

// Locale reads the name of a locale.
func Locale(s string) (string, error) { return s, vps.CheckLocale(s) }

// Credential reads NAME=VALUE. Errors do not contain what may be a secret.
func Credential(s string) (Pair, error) {
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return Pair{}, fmt.Errorf("invalid credential: use NAME=VALUE or NAME=@FILE")
	}
	return Pair{name, value}, vps.CheckCredential(name)
}

// CredentialOrRemoval reads what Credential reads, or -NAME. The Key of -NAME begins
// with "-".
func CredentialOrRemoval(s string) (Pair, error) {
	name, removes := strings.CutPrefix(s, "-")
	if !removes {
		return Credential(s)
	}
	if strings.Contains(name, "=") {
		return Pair{}, fmt.Errorf("invalid credential: after \"-\" comes a name to remove")
	}
	return Pair{s, ""}, vps.CheckCredential(name)
}
