package cli

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

// The functions here read the values of options. They are given no empty
// string (read has refused it), and what they say of a bad one follows the
// option's name: "--memory: "1Q" is no size: 512M, 1G".

// parseDuration reads a duration that is not negative: a number of seconds, or
// numbers with units.
func parseDuration(s string) (time.Duration, error) {
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

// parseTimeout reads a duration that is more than 0.
func parseTimeout(s string) (time.Duration, error) {
	d, err := parseDuration(s)
	if err == nil && d == 0 {
		err = fmt.Errorf("invalid duration %q: it must be more than 0", s)
	}
	return d, err
}

// parseAddress reads an address that an interface can have.
func parseAddress(s string) (netip.Addr, error) {
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

// parseResolver reads the address of a DNS server.
func parseResolver(s string) (string, error) {
	if err := vps.CheckResolver(s); err != nil {
		return "", err
	}
	return netip.MustParseAddr(s).String(), nil
}

// parseTemplate reads NAME or NAME@DIGEST.
func parseTemplate(s string) (string, error) {
	if strings.Trim(s, letters+"0123456789.-_@:") != "" || strings.ContainsRune("@:-.", rune(s[0])) {
		return "", fmt.Errorf("invalid template %q: use a name, for example debian-12, or NAME@DIGEST", s)
	}
	return s, nil
}

// parseTemplateOrImage is parseTemplate that leaves the name of an image in a
// registry to the store, which knows how to get it.
func parseTemplateOrImage(s string) (string, error) {
	if first, _, ok := strings.Cut(s, "/"); ok && first != "" {
		_, err := parseTemplate(strings.ReplaceAll(s, "/", "-"))
		return s, err
	}
	return parseTemplate(s)
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// parseHostname reads a host name.
func parseHostname(s string) (string, error) { return s, vps.CheckHostname(s) }

// parseDomain reads a domain to search; "." is none.
func parseDomain(s string) (string, error) { return s, vps.CheckSearchDomain(s) }

// parseSysctl reads KEY=VALUE with the key as sysctl(8) takes it.
func parseSysctl(s string) (pair, error) {
	p, err := parsePair(s, "KEY=VALUE", letters+"0123456789._-/")
	p.key = strings.ReplaceAll(p.key, "/", ".")
	if err == nil && p.value == "" {
		err = fmt.Errorf("%q has no value for %s", s, p.key)
	}
	return p, err
}

// parseLabel reads KEY=VALUE; the value may be empty.
func parseLabel(s string) (pair, error) {
	key, value, ok := strings.Cut(s, "=")
	if !ok {
		return pair{}, fmt.Errorf("invalid label %q: use KEY=VALUE", s)
	}
	return pair{key, value}, vps.CheckLabel(key, value)
}

// parseAllow reads something that a VPS can be allowed.
func parseAllow(s string) (string, error) { return s, vps.CheckAllow(s, false) }

// parseEnv reads NAME=VALUE and returns it as it is.
func parseEnv(s string) (string, error) { return s, vps.CheckEnv(s) }

// A pair is a key and a value.
type pair struct{ key, value string }

func parsePair(s, form, keyChars string) (pair, error) {
	key, value, ok := strings.Cut(s, "=")
	if !ok || key == "" || strings.Trim(key, keyChars) != "" || strings.ContainsFunc(value, unicode.IsControl) {
		return pair{}, fmt.Errorf("invalid text %q: use %s", s, form)
	}
	return pair{key, value}, nil
}

// toMap makes a map of pairs; nil if there is none.
func toMap(pairs []pair) map[string]string {
	if len(pairs) == 0 {
		return nil
	}
	m := map[string]string{}
	for _, p := range pairs {
		m[p.key] = p.value
	}
	return m
}

// parseUser reads NAME|UID[:GROUP|GID].
func parseUser(s string) (string, error) {
	user, group, hasGroup := strings.Cut(s, ":")
	for _, part := range []string{user, group} {
		// The last may be a '$': shadow-utils allow it for Samba's machines.
		if strings.Trim(strings.TrimSuffix(part, "$"), letters+"0123456789_.-") != "" || strings.HasPrefix(part, "-") {
			return "", fmt.Errorf("invalid user %q: use USER or USER:GROUP", s)
		}
	}
	if user == "" || hasGroup && group == "" {
		return "", fmt.Errorf("invalid user %q: use USER or USER:GROUP", s)
	}
	return s, nil
}

// parseAbsolute reads a path inside a VPS.
func parseAbsolute(s string) (string, error) {
	if !filepath.IsAbs(s) || strings.ContainsRune(s, 0) {
		return "", fmt.Errorf("path %q is not absolute", s)
	}
	return s, nil
}

// parseDirectory reads a directory of croft's own on the host.
func parseDirectory(s string) (string, error) {
	s, err := parseAbsolute(s)
	if err == nil && filepath.Clean(s) == "/" {
		err = errors.New(`"/" cannot be the directory of croft's files`)
	}
	return s, err
}

// cgroupManagers are who can make the cgroups of VPSs.
func cgroupManagers() []string { return []string{"auto", "systemd", "cgroupfs"} }

func parseCgroupManager(s string) (string, error) {
	if !slices.Contains(cgroupManagers(), s) {
		return "", fmt.Errorf("%q is none of %s", s, strings.Join(cgroupManagers(), ", "))
	}
	return s, nil
}

// parseFile reads the path of a file on the host.
func parseFile(s string) (string, error) {
	if strings.ContainsRune(s, 0) {
		return "", fmt.Errorf("invalid file name %q", s)
	}
	return s, nil
}

// parseWait reads what start waits for.
func parseWait(s string) (runtime.Wait, error) {
	switch s {
	case "booted":
		return runtime.WaitBooted, nil
	case "network":
		return runtime.WaitNetwork, nil
	}
	return 0, fmt.Errorf("unknown condition %q: use booted or network", s)
}

// onBoots are what --onboot takes.
func onBoots() []string { return []string{"yes", "no", "last"} }

func parseOnBoot(s string) (vps.OnBoot, error) {
	switch {
	case s == "last":
		return vps.OnBootLast, nil
	case slices.Contains(onBoots(), s):
		return vps.OnBoot(s), nil
	}
	return "", fmt.Errorf("%q is none of %s", s, strings.Join(onBoots(), ", "))
}

// parseBootOrder reads a place in the order of starts.
func parseBootOrder(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("invalid priority %q: use a number; 10 starts before 5, 0 is the last", s)
	}
	return int(n), nil
}

func parseYesNo(s string) (bool, error) {
	if s != "yes" && s != "no" {
		return false, fmt.Errorf("invalid value %q: yes or no", s)
	}
	return s == "yes", nil
}

// conditions are what wait can wait for.
func conditions() []string {
	return []string{
		string(runtime.UntilRunning), string(runtime.UntilStopped),
		string(runtime.UntilBooted), string(runtime.UntilNetwork), string(runtime.UntilReboot),
	}
}

func parseCondition(s string) (runtime.Condition, error) {
	if !slices.Contains(conditions(), s) {
		return "", fmt.Errorf("%q is not to be waited for: %s", s, strings.Join(conditions(), ", "))
	}
	return runtime.Condition(s), nil
}

// signalNames are the signals that are sent to an init, for completion.
func signalNames() []string {
	return []string{"HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "CONT", "STOP", "PWR", "WINCH", "RTMIN+3", "RTMIN+4", "RTMIN+5"}
}

// parseBoot reads which boot: n the n-th, 0 the newest, -1 the one before.
func parseBoot(s string) (int, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("invalid boot %q: 3 is the third, 0 the newest, -1 the one before it", s)
	}
	return int(n), nil
}

// parseLines reads how many lines; "all" is -1.
func parseLines(s string) (int, error) {
	if s == "all" {
		return -1, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("invalid number of lines %q (for example 20, all)", s)
	}
	return int(n), nil
}

// parseWord reads a word such as a distribution's or an architecture's name.
func parseWord(s string) (string, error) {
	if strings.Trim(s, letters+"0123456789._-+") != "" {
		return "", fmt.Errorf("invalid word %q: use letters and digits", s)
	}
	return s, nil
}

// parseMirror reads the address of a package archive.
func parseMirror(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" && u.Path == "" || strings.ContainsFunc(s, unicode.IsSpace) {
		return "", fmt.Errorf("invalid URL of a package archive %q", s)
	}
	return s, nil
}

// isSignal reports whether the word after a dash is a signal, as in kill -9 and
// kill -KILL, and not letters of options.
func isSignal(word string) bool {
	_, err := signame.Parse(word)
	return err == nil && strings.ToUpper(word) == word
}
