// Package seeds decides which files of a VPS set its time zone and its locale, and
// which ones cloud-init reads at its first run. It reads a file system and returns
// files to write; it writes nothing.
package seeds

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"croft/internal/fail"
	"croft/internal/vps"
)

// A File belongs to root of the VPS. It replaces a file or a link. Directories above it
// may be missing.
type File struct {
	Path    string // absolute, inside the VPS
	Link    bool   // Content is the target
	Content []byte
	Mode    fs.FileMode // of a new file; an existing one keeps its mode
}

// A Host is what the files of the VPS can lack.
type Host struct {
	UUID string                            // of the VPS
	Zone func(name string) ([]byte, error) // the file of a time zone (tzfile(5))
}

// For returns the files that make the changes of what. root is the file system of the
// VPS. It is fail.State if the files of the VPS do not allow it.
func For(root fs.FS, host Host, what vps.Inside) ([]File, error) {
	var all []File
	for _, f := range []func() ([]File, error){
		func() ([]File, error) { return timeZone(root, host, what.TimeZone) },
		func() ([]File, error) { return locale(root, what.Locale) },
		func() ([]File, error) { return userData(root, host, what.UserData) },
	} {
		files, err := f()
		if err != nil {
			return nil, err
		}
		all = append(all, files...)
	}
	return all, nil
}

const zones = "/usr/share/zoneinfo"

// timeZone makes /etc/localtime a link to the zone. A VPS without a database of
// zones gets the file of the host.
func timeZone(root fs.FS, host Host, zone string) ([]File, error) {
	if zone == "" {
		return nil, nil
	}
	local := File{Path: "/etc/localtime", Link: true, Content: []byte(zones + "/" + zone)}
	switch {
	case regular(root, zones+"/"+zone):
	case exists(root, zones+"/UTC"):
		return nil, fail.New(fail.State, "no time zone %s inside", zone)
	default:
		text, err := host.Zone(zone)
		if err == nil && !strings.HasPrefix(string(text), "TZif") {
			err = errors.New("its file is not one of a time zone")
		}
		if err != nil {
			return nil, fail.New(fail.State, "no time zone %s: the VPS has no %s, and on the host: %w", zone, zones, err)
		}
		local = File{Path: local.Path, Content: text, Mode: 0o644}
	}
	files := []File{local}
	if isFile(root, "/etc/timezone") { // of Debian up to 12, and Gentoo
		files = append(files, File{Path: "/etc/timezone", Content: []byte(zone + "\n"), Mode: 0o644})
	}
	return files, nil
}

// locale sets LANG where the system of the VPS reads it.
func locale(root fs.FS, name string) ([]File, error) {
	if name == "" {
		return nil, nil
	}
	if !hasLocale(root, name) {
		return nil, fail.New(fail.State, "no locale %s inside: it is not in /usr/lib/locale", name)
	}
	var files []File
	for _, path := range localeFiles(root) {
		text, err := readFile(root, path)
		if err != nil {
			return nil, err
		}
		files = append(files, File{Path: path, Content: withLang(string(text), name), Mode: 0o644})
	}
	if len(files) > 0 {
		return files, nil
	}
	if isDir(root, "/etc/profile.d") { // Alpine: after its own 20locale.sh
		return []File{{Path: "/etc/profile.d/locale.sh", Content: []byte("export LANG=" + name + "\n"), Mode: 0o644}}, nil
	}
	return nil, fail.New(fail.State, "cannot set a locale inside: there is neither /etc/locale.conf, /etc/default/locale nor /etc/profile.d")
}

// localeFiles are the files with LANG of systemd and of Debian's PAM: those that
// exist, or else the one that the system would create.
func localeFiles(root fs.FS) []string {
	const systemd, debian = "/etc/locale.conf", "/etc/default/locale"
	var all []string
	for _, path := range []string{debian, systemd} {
		if isFile(root, path) {
			all = append(all, path)
		}
	}
	switch {
	case len(all) > 0:
	case isLink(root, debian): // to /etc/locale.conf, since Debian 13
		all = []string{systemd}
	case exists(root, "/etc/debian_version"):
		all = []string{debian}
	case exists(root, "/usr/lib/systemd/systemd"):
		all = []string{systemd}
	}
	return all
}

// withLang replaces LANG in lines of NAME=VALUE, or adds it.
func withLang(text, locale string) []byte {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "LANG=") {
			b.WriteString(strings.TrimSuffix(line, "\n") + "\n")
		}
	}
	return []byte(b.String() + "LANG=" + locale + "\n")
}

// hasLocale reports whether the C library knows the locale. Only glibc has a list:
// other libraries take any name.
func hasLocale(root fs.FS, name string) bool {
	base, charset, _ := strings.Cut(name, ".")
	charset = strings.ToLower(strings.ReplaceAll(charset, "-", ""))
	if !hasGlibc(root) || name == "C" || name == "POSIX" || base == "C" && charset == "utf8" {
		return true
	}
	written := base
	if charset != "" {
		written += "." + charset
	}
	const dir = "/usr/lib/locale"
	if isDir(root, dir+"/"+written) || isDir(root, dir+"/"+name) {
		return true
	}
	f, err := root.Open(dir[1:] + "/locale-archive")
	if err != nil {
		return false
	}
	defer f.Close()
	// The names come before the data (locarchive.h of glibc).
	names, err := io.ReadAll(io.LimitReader(f, 1<<20))
	return err == nil && strings.Contains("\x00"+string(names), "\x00"+written+"\x00")
}

func hasGlibc(root fs.FS) bool {
	for _, pattern := range []string{"lib64/ld-linux*", "lib/ld-linux*", "lib/ld64*", "lib/ld.so.1"} {
		if found, err := fs.Glob(root, pattern); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

// userData is the seed of cloud-init's data source NoCloud. cloud-init runs the parts
// that it runs once for each instance again when the id is another one.
func userData(root fs.FS, host Host, data []byte) ([]File, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if !exists(root, "/usr/bin/cloud-init") {
		return nil, fail.New(fail.State, "cannot give user data: there is no cloud-init inside")
	}
	const seed = "/var/lib/cloud/seed/nocloud"
	return []File{
		// The network is croft's.
		{Path: "/etc/cloud/cloud.cfg.d/99-croft.cfg", Content: []byte("datasource_list: [NoCloud, None]\nnetwork: {config: disabled}\n"), Mode: 0o644},
		{Path: seed + "/user-data", Content: data, Mode: 0o600},
		{Path: seed + "/meta-data", Content: fmt.Appendf(nil, "instance-id: %s\n", instance(host.UUID, data)), Mode: 0o600},
	}, nil
}
