package seeds

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"croft/internal/fail"
	"croft/internal/vps"
)

// file, link and dir are entries of a tree.
func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text), Mode: 0o644} }
func link(to string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(to), Mode: 0o777 | fs.ModeSymlink}
}
func dir() *fstest.MapFile { return &fstest.MapFile{Mode: 0o755 | fs.ModeDir} }

// What distributions have after their installation.
var (
	debian12 = fstest.MapFS{
		"lib64/ld-linux-x86-64.so.2": file(""), "etc/debian_version": file("12.5\n"), "etc/timezone": file("Etc/UTC\n"),
		"etc/localtime": link("/usr/share/zoneinfo/Etc/UTC"), "usr/lib/systemd/systemd": file(""), "etc/profile.d": dir(),
		"usr/share/zoneinfo/UTC": file("TZif"), "usr/share/zoneinfo/Europe/Berlin": file("TZif"), "usr/lib/locale/C.utf8/LC_TIME": file(""),
		"usr/lib/locale/locale-archive": file("\x09\x01\x02\xde\x00en_US.utf8\x00de_DE\x00data"),
	}
	debian13 = fstest.MapFS{
		"lib64/ld-linux-x86-64.so.2": file(""), "etc/debian_version": file("13\n"), "etc/default/locale": link("../locale.conf"),
		"usr/share/zoneinfo/UTC": file("TZif"), "usr/share/zoneinfo/Europe/Berlin": file("TZif"), "usr/lib/locale/C.utf8/LC_TIME": file(""),
		"usr/lib/locale/de_DE.utf8/LC_TIME": file(""), "usr/bin/cloud-init": file(""),
	}
	fedora = fstest.MapFS{
		"lib64/ld-linux-x86-64.so.2": file(""), "etc/locale.conf": file("LANG=\"en_US.UTF-8\"\nLC_TIME=C"), "usr/lib/systemd/systemd": file(""),
		"usr/share/zoneinfo/UTC": file("TZif"), "usr/lib/locale/de_DE.utf8/LC_TIME": file(""),
	}
	alpine  = fstest.MapFS{"lib/ld-musl-x86_64.so.1": file(""), "etc/profile.d/20locale.sh": file("export LANG=C.UTF-8\n")}
	busybox = fstest.MapFS{"bin/busybox": file("")}
)

var host = Host{UUID: "8982a52f-35fc", Zone: func(name string) ([]byte, error) {
	switch name {
	case "Europe/Berlin":
		return []byte("TZif2"), nil
	case "tzdata.zi":
		return []byte("text"), nil
	}
	return nil, errors.New("no such file")
}}

func text(files []File) string {
	var all []string
	for _, f := range files {
		if f.Link {
			all = append(all, fmt.Sprintf("%s -> %s", f.Path, f.Content))
		} else {
			all = append(all, fmt.Sprintf("%s %o %s", f.Path, f.Mode, strings.ReplaceAll(strings.TrimSuffix(string(f.Content), "\n"), "\n", "|")))
		}
	}
	return strings.Join(all, "; ")
}

func TestFiles(t *testing.T) {
	berlin := vps.Inside{TimeZone: "Europe/Berlin"}
	german, english := vps.Inside{Locale: "de_DE.UTF-8"}, vps.Inside{Locale: "en_US.UTF-8"}
	for name, c := range map[string]struct {
		root fs.FS
		what vps.Inside
		want string
	}{
		"nothing":          {debian12, vps.Inside{}, ""},
		"zone, debian 12":  {debian12, berlin, "/etc/localtime -> /usr/share/zoneinfo/Europe/Berlin; /etc/timezone 644 Europe/Berlin"},
		"zone, debian 13":  {debian13, berlin, "/etc/localtime -> /usr/share/zoneinfo/Europe/Berlin"},
		"zone, no tzdata":  {alpine, berlin, "/etc/localtime 644 TZif2"},
		"zone, busybox":    {busybox, berlin, "/etc/localtime 644 TZif2"},
		"locale, archive":  {debian12, english, "/etc/default/locale 644 LANG=en_US.UTF-8"},
		"locale, no codes": {debian12, vps.Inside{Locale: "de_DE"}, "/etc/default/locale 644 LANG=de_DE"},
		"locale, built in": {debian12, vps.Inside{Locale: "C.UTF-8"}, "/etc/default/locale 644 LANG=C.UTF-8"},
		"locale, by link":  {debian13, german, "/etc/locale.conf 644 LANG=de_DE.UTF-8"},
		"locale, others":   {fedora, german, "/etc/locale.conf 644 LC_TIME=C|LANG=de_DE.UTF-8"},
		"locale, musl":     {alpine, german, "/etc/profile.d/locale.sh 644 export LANG=de_DE.UTF-8"},
		"user data": {debian13, vps.Inside{UserData: []byte("#!/bin/sh\n")}, "/etc/cloud/cloud.cfg.d/99-croft.cfg 644 datasource_list: [NoCloud, None]|network: {config: disabled}; " +
			"/var/lib/cloud/seed/nocloud/user-data 600 #!/bin/sh; /var/lib/cloud/seed/nocloud/meta-data 600 instance-id: 8982a52f-35fc-a8076d3d"},
	} {
		files, err := For(c.root, host, c.what)
		if got := text(files); err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, c.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		root fs.FS
		what vps.Inside
		want string
	}{
		{debian12, vps.Inside{TimeZone: "Europe/Atlantis"}, "no time zone Europe/Atlantis inside"},
		{alpine, vps.Inside{TimeZone: "Europe/Atlantis"}, "no time zone Europe/Atlantis: the VPS has no /usr/share/zoneinfo, and on the host: no such file"},
		{alpine, vps.Inside{TimeZone: "tzdata.zi"}, "not one of a time zone"},
		{debian12, vps.Inside{Locale: "de_DE.UTF-8"}, "no locale de_DE.UTF-8 inside"},
		{debian12, vps.Inside{Locale: "data"}, "no locale data inside"},
		{busybox, vps.Inside{Locale: "de_DE.UTF-8"}, "cannot set a locale inside"},
		{fstest.MapFS{"etc/locale.conf": file(strings.Repeat("x", most+1))}, vps.Inside{Locale: "C"}, "cannot read /etc/locale.conf inside: it is larger"},
		{debian12, vps.Inside{UserData: []byte("#!")}, "no cloud-init inside"},
	} {
		if files, err := For(c.root, host, c.what); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %s, %v; want %s", c.what, text(files), err, c.want)
		}
	}
}
