// Package values reads the values of options and the words of commands.
//
// A function is never given an empty text: cmdline.Get has refused it. Its error
// follows the name of the option: --memory: invalid size "1Q" (for example 512M, 1G).
package values

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"croft/internal/signame"
	"croft/internal/vps"
	"croft/runtime"
)

// Duration reads a duration of 0 or more: a number of seconds, or numbers with
// units.
func Duration(s string) (time.Duration, error) {
	text := s
	if strings.Trim(s, "0123456789.") == "" {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("invalid duration %q (for example 90, 90s, 1m30s)", s)
	}
	return d, nil
}

// Timeout reads a duration of more than 0.
func Timeout(s string) (time.Duration, error) {
	d, err := Duration(s)
	if err == nil && d == 0 {
		err = fmt.Errorf("invalid duration %q: it must be more than 0", s)
	}
	return d, err
}

// Keep reads how long something is kept: a Duration, or a number of days, 7d.
func Keep(s string) (time.Duration, error) {
	const day, most = 24 * time.Hour, 36500
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil || n > most {
			return 0, fmt.Errorf("invalid time %q (for example 24h or 7d)", s)
		}
		return time.Duration(n) * day, nil
	}
	d, err := Duration(s)
	if err != nil || d > most*day {
		return 0, fmt.Errorf("invalid time %q (for example 24h or 7d)", s)
	}
	return d, nil
}

// Address reads an address that an interface can have.
// An InterfaceAddress is an address, and the interface that it is for; "" is any.
type InterfaceAddress struct {
	Interface string
	Address   netip.Addr
}

// AddressAt reads ADDRESS or INTERFACE:ADDRESS.
func AddressAt(s string) (InterfaceAddress, error) {
	iface, rest, named := strings.Cut(s, ":")
	if _, err := netip.ParseAddr(s); err == nil || !named || vps.CheckLinkName(iface) != nil {
		a, err := Address(s)
		return InterfaceAddress{"", a}, err
	}
	a, err := Address(rest)
	if err != nil {
		err = fmt.Errorf("%q: %w", s, err)
	}
	return InterfaceAddress{iface, a}, err
}

func Address(s string) (netip.Addr, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return netip.Addr{}, fmt.Errorf("%q: give the address without a prefix length: %s", s, p.Addr())
	}
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("invalid IP address %q", s)
	case a.Zone() != "", a.Is4In6(), !a.IsGlobalUnicast():
		return netip.Addr{}, fmt.Errorf("an interface cannot have the address %s", a)
	}
	return a, nil
}

// Resolver reads the address of a DNS server.
func Resolver(s string) (string, error) {
	if err := vps.CheckResolver(s); err != nil {
		return "", err
	}
	return netip.MustParseAddr(s).String(), nil
}

// Template reads NAME or NAME@DIGEST.
func Template(s string) (string, error) {
	if strings.Trim(s, Letters+"0123456789.-_@:") != "" || strings.ContainsRune("@:-.", rune(s[0])) {
		return "", fmt.Errorf("invalid template %q: use a name, for example debian-12, or NAME@DIGEST", s)
	}
	return s, nil
}

// TemplateOrImage is Template that also accepts a file, and the name of an image in
// a registry. The store checks that name.
func TemplateOrImage(s string) (string, error) {
	if file, err := runtime.TemplateOfFile(s); file || err != nil {
		return s, err
	}
	if first, _, ok := strings.Cut(s, "/"); ok && first != "" {
		_, err := Template(strings.ReplaceAll(s, "/", "-"))
		return s, err
	}
	return Template(s)
}

// KeptPaths reads absolute paths with commas between them. A name can have a comma.
func KeptPaths(s string) ([]string, error) {
	all := strings.Split(s, ",/")
	for n := range all {
		if n > 0 {
			all[n] = "/" + all[n]
		}
		if err := runtime.CheckKept(all[n]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

const Letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// Hostname reads a host name.
func Hostname(s string) (string, error) { return s, vps.CheckHostname(s) }

// Domain reads a search domain; "." stands for no domain.
func Domain(s string) (string, error) { return s, vps.CheckSearchDomain(s) }

// Sysctl reads KEY=VALUE, with a key as sysctl(8) accepts it.
func Sysctl(s string) (Pair, error) {
	p, err := parsePair(s, "KEY=VALUE", Letters+"0123456789._-/")
	p.Key = strings.ReplaceAll(p.Key, "/", ".")
	if err == nil && p.Value == "" {
		err = fmt.Errorf("%q has no value for %s", s, p.Key)
	}
	return p, err
}

// Label reads KEY=VALUE; the value may be empty.
func Label(s string) (Pair, error) {
	key, value, ok := strings.Cut(s, "=")
	if !ok {
		return Pair{}, fmt.Errorf("invalid label %q: use KEY=VALUE", s)
	}
	return Pair{key, value}, vps.CheckLabel(key, value)
}

// Allow reads the name of a permission of a VPS.
func Allow(s string) (string, error) { return s, vps.CheckAllow(s, false) }

// Env reads NAME=VALUE and returns it unchanged.
func Env(s string) (string, error) { return s, vps.CheckEnv(s) }

// A Pair is the text KEY=VALUE.
type Pair struct{ Key, Value string }

func parsePair(s, form, keyChars string) (Pair, error) {
	key, value, ok := strings.Cut(s, "=")
	if !ok || key == "" || strings.Trim(key, keyChars) != "" || strings.ContainsFunc(value, unicode.IsControl) {
		return Pair{}, fmt.Errorf("invalid text %q: use %s", s, form)
	}
	return Pair{key, value}, nil
}

// ToMap returns pairs as a map; nil if there are no pairs.
func ToMap(pairs []Pair) map[string]string {
	if len(pairs) == 0 {
		return nil
	}
	m := map[string]string{}
	for _, p := range pairs {
		m[p.Key] = p.Value
	}
	return m
}

// User reads NAME|UID[:GROUP|GID].
func User(s string) (string, error) {
	user, group, hasGroup := strings.Cut(s, ":")
	for _, part := range []string{user, group} {
		// The last may be a '$': shadow-utils allow it for Samba's machines.
		if strings.Trim(strings.TrimSuffix(part, "$"), Letters+"0123456789_.-") != "" || strings.HasPrefix(part, "-") {
			return "", fmt.Errorf("invalid user %q: use USER or USER:GROUP", s)
		}
	}
	if user == "" || hasGroup && group == "" {
		return "", fmt.Errorf("invalid user %q: use USER or USER:GROUP", s)
	}
	return s, nil
}

// Absolute reads a path inside a VPS.
func Absolute(s string) (string, error) {
	if !filepath.IsAbs(s) || strings.ContainsRune(s, 0) {
		return "", fmt.Errorf("path %q is not absolute", s)
	}
	return s, nil
}

// Directory reads the path of a directory for the files of croft.
func Directory(s string) (string, error) {
	s, err := Absolute(s)
	if err == nil && filepath.Clean(s) == "/" {
		err = errors.New(`"/" cannot be the directory of croft's files`)
	}
	return s, err
}

// CgroupManagers returns the values of --cgroup-manager.
func CgroupManagers() []string { return []string{"auto", "systemd", "cgroupfs"} }

func CgroupManager(s string) (string, error) {
	if !slices.Contains(CgroupManagers(), s) {
		return "", fmt.Errorf("%q is none of %s", s, strings.Join(CgroupManagers(), ", "))
	}
	return s, nil
}

// File reads the path of a file on the host.
func File(s string) (string, error) {
	if strings.ContainsRune(s, 0) {
		return "", fmt.Errorf("invalid file name %q", s)
	}
	return s, nil
}

// Wait reads the condition that start --wait waits for.
func Wait(s string) (runtime.Wait, error) {
	switch s {
	case "booted":
		return runtime.WaitBooted, nil
	case "network":
		return runtime.WaitNetwork, nil
	}
	return 0, fmt.Errorf("unknown condition %q: use booted or network", s)
}

// OnBoots returns the values of --onboot.
func OnBoots() []string { return []string{"yes", "no", "last"} }

func OnBoot(s string) (vps.OnBoot, error) {
	switch {
	case s == "last":
		return vps.OnBootLast, nil
	case slices.Contains(OnBoots(), s):
		return vps.OnBoot(s), nil
	}
	return "", fmt.Errorf("%q is none of %s", s, strings.Join(OnBoots(), ", "))
}

// BootOrder reads a priority in the order of starts.
func BootOrder(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("invalid priority %q: use a number; 10 starts before 5, 0 is the last", s)
	}
	return int(n), nil
}

// YesNos returns the values of options that YesNo reads.
func YesNos() []string { return []string{"yes", "no"} }

func YesNo(s string) (bool, error) {
	if s != "yes" && s != "no" {
		return false, fmt.Errorf("invalid value %q: yes or no", s)
	}
	return s == "yes", nil
}

// Conditions returns the conditions that wait can wait for.
func Conditions() []string {
	return []string{
		string(runtime.UntilRunning), string(runtime.UntilStopped),
		string(runtime.UntilBooted), string(runtime.UntilNetwork), string(runtime.UntilReboot),
	}
}

func Condition(s string) (runtime.Condition, error) {
	if !slices.Contains(Conditions(), s) {
		return "", fmt.Errorf("%q is not to be waited for: %s", s, strings.Join(Conditions(), ", "))
	}
	return runtime.Condition(s), nil
}

// SignalNames returns the signals that users send to an init, for completion.
func SignalNames() []string {
	return []string{"HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "CONT", "STOP", "PWR", "WINCH", "RTMIN+3", "RTMIN+4", "RTMIN+5"}
}

// Boot reads the number of a boot: n is the n-th, 0 the newest, -1 the one before it.
func Boot(s string) (int, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("invalid boot %q: 3 is the third, 0 the newest, -1 the one before it", s)
	}
	return int(n), nil
}

// Lines reads a number of lines. It returns -1 for "all".
func Lines(s string) (int, error) {
	if s == "all" {
		return -1, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("invalid number of lines %q (for example 20, all)", s)
	}
	return int(n), nil
}

// Word reads a single word, for example the name of a distribution.
func Word(s string) (string, error) {
	if strings.Trim(s, Letters+"0123456789._-+") != "" {
		return "", fmt.Errorf("invalid word %q: use letters and digits", s)
	}
	return s, nil
}

// Reference reads a reference to an image in a registry. The store checks it as a whole.
func Reference(s string) (string, error) {
	if s == "" || strings.Trim(s, Letters+"0123456789._-/:@[]") != "" {
		return "", fmt.Errorf("invalid reference %q (for example registry.example/backups/web:1)", s)
	}
	return s, nil
}

// Mirror reads the address of a package archive.
func Mirror(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" && u.Path == "" || strings.ContainsFunc(s, unicode.IsSpace) {
		return "", fmt.Errorf("invalid URL of a package archive %q", s)
	}
	return s, nil
}

// IsSignal reports whether the word after a dash is a signal, as in kill -9 and
// kill -KILL, and not letters of options.
func IsSignal(word string) bool {
	_, err := signame.Parse(word)
	return err == nil && strings.ToUpper(word) == word
}
