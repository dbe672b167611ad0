// Package ssh makes command lines of ssh(1) that run croft on another host. It is pure.
package ssh

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"al.essio.dev/pkg/shellescape"
)

// A Host is another host that ssh(1) reaches. What it does not say comes from the
// configuration of ssh, which may also know the name as an alias.
type Host struct {
	User string // "": as the configuration of ssh says
	Name string // a host name, an address or an alias
	Port uint16 // 0: as the configuration of ssh says
}

// ParseHost reads ssh://[USER@]HOST[:PORT]. "ssh://" may be missing.
func ParseHost(s string) (Host, error) {
	text, isURL := strings.CutPrefix(s, "ssh://")
	if !isURL && strings.Contains(s, "://") {
		return Host{}, fmt.Errorf("invalid host %q: only ssh:// is supported", s)
	}
	u, err := url.Parse("ssh://" + text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return Host{}, fmt.Errorf("invalid host %q (for example ssh://root@host.example.com)", s)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return Host{}, fmt.Errorf("invalid host %q: nothing can follow the host and the port", s)
	}
	h := Host{User: u.User.Username(), Name: u.Hostname()}
	if _, has := u.User.Password(); has {
		return Host{}, fmt.Errorf("invalid host: it has a password, which ssh does not take from a command line")
	}
	if text := u.Port(); text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			return Host{}, fmt.Errorf("invalid port %q of the host %s", text, h.Name)
		}
		h.Port = uint16(port)
	}
	if !isName(h.Name) || h.User != "" && !isName(h.User) {
		return Host{}, fmt.Errorf("invalid host %q (for example ssh://root@host.example.com)", s)
	}
	return h, nil
}

// isName reports whether ssh can have s as a user or as a host: it is not an option,
// and means nothing to a shell, which may get it from the configuration of ssh (%h).
func isName(s string) bool {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return true
	}
	return s != "" && s[0] != '-' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}

// String returns [USER@]HOST[:PORT], which ParseHost reads.
func (h Host) String() string {
	s := h.Name
	if strings.Contains(s, ":") {
		s = "[" + s + "]"
	}
	if h.User != "" {
		s = h.User + "@" + s
	}
	if h.Port != 0 {
		s += ":" + strconv.Itoa(int(h.Port))
	}
	return s
}

// A Command is a command line of croft for another host.
type Command struct {
	Words    []string // after the name of the program
	Terminal bool     // it gets a terminal
	Version  string   // of this croft, as "croft version" prints it
	Missing  int      // the exit status if the host has no croft
	Invalid  int      // the exit status of an invalid command line
	Options  []string // more options of ssh: NAME=VALUE
	SSH      string   // the ssh to use, with options, as words for sh(1); "": ssh
}

// script runs on the host: the words of the line follow its first arguments. If the line
// is invalid there, the reason may be that the croft there has another version.
const script = `here=$1 missing=$2 invalid=$3; shift 3; unset CROFT_HOST; PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin; ` +
	`if ! command -v croft >/dev/null; then echo "croft: $0 has no croft: the user $(id -un) does not find it in $PATH" >&2; exit "$missing"; fi; ` +
	`trap : INT QUIT; croft "$@"; status=$?; ` +
	`if [ "$status" = "$invalid" ]; then there=$(croft version </dev/null 2>/dev/null); ` +
	`[ -z "$there" ] || [ "$there" = "$here" ] || echo "croft: warning: $0 has another version: $there; this host has $here" >&2; fi; exit "$status"`

// Try returns the command line for a shell that tries to log in on h: ssh says what is
// wrong, and asks whether to trust the key of a host that it does not know. client is that
// of Command.SSH.
func (h Host) Try(client string) string {
	words := []string{cmp.Or(client, "ssh")}
	if h.Port != 0 {
		words = append(words, "-p", strconv.Itoa(int(h.Port)))
	}
	name := h.Name
	if h.User != "" {
		name = h.User + "@" + name
	}
	return strings.Join(append(words, name, "true"), " ")
}

// Line returns the command line of ssh(1) that runs c on h. It has the standard input,
// output and error of croft there. Its exit status is that of croft there, and 255 after
// a failure of ssh. The shell of the user there must be one that knows the quotes of sh.
func (h Host) Line(c Command) []string {
	line := []string{"ssh"}
	if c.SSH != "" {
		line = []string{"/bin/sh", "-c", "exec " + c.SSH + ` "$@"`, "ssh"}
	}
	if c.Terminal {
		// Without the message that the connection is closed.
		line = append(line, "-t", "-o", "LogLevel=ERROR")
	} else {
		line = append(line, "-T")
	}
	for _, o := range c.Options {
		line = append(line, "-o", o)
	}
	if h.User != "" {
		line = append(line, "-l", h.User)
	}
	if h.Port != 0 {
		line = append(line, "-p", strconv.Itoa(int(h.Port)))
	}
	there := append([]string{"sh", "-c", script, h.Name, c.Version, strconv.Itoa(c.Missing), strconv.Itoa(c.Invalid)}, c.Words...)
	return append(line, "--", h.Name, shellescape.QuoteCommand(there))
}
