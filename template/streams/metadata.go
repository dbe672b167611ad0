package streams

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"croft/internal/fail"
)

// Metadata is metadata.yaml of an image of Incus or LXD
// (https://linuxcontainers.org/incus/docs/main/reference/image_format/).
type Metadata struct {
	Architecture string                  `yaml:"architecture"` // the kernel's name of it
	CreationDate int64                   `yaml:"creation_date"`
	Properties   map[string]string       `yaml:"properties"`
	Templates    map[string]fileTemplate `yaml:"templates"` // by the absolute path of the file that it makes
}

// A fileTemplate says how Incus makes one file of an instance.
type fileTemplate struct {
	When     []string `yaml:"when"`     // create, copy, rename, start
	Template string   `yaml:"template"` // its name below templates/
	UID      string   `yaml:"uid"`
	GID      string   `yaml:"gid"`
	Mode     string   `yaml:"mode"`
}

// ParseMetadata parses metadata.yaml. An invalid one is fail.Usage.
func ParseMetadata(text []byte) (Metadata, error) {
	var m Metadata
	if err := yaml.Unmarshal(text, &m); err != nil {
		return m, fail.New(fail.Usage, "metadata.yaml of the image: %w", err)
	}
	return m, nil
}

// Created returns when the image was built. It is zero if that is not said.
func (m Metadata) Created() time.Time {
	if m.CreationDate == 0 {
		return time.Time{}
	}
	return time.Unix(m.CreationDate, 0)
}

// A StaticFile is a file that a new instance of an image has.
type StaticFile struct {
	Path     string // relative to the root directory
	Text     string
	UID, GID int
	Mode     fs.FileMode
}

// Files returns the files that the templates of an image make in each new instance
// alike, sorted by path. texts are the files below templates/. ignored has the paths of
// those that croft does not make: their text depends on the instance, and croft does not
// write such a file itself.
func (m Metadata) Files(texts map[string]string) (static []StaticFile, ignored []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(m.Templates)) {
		t := m.Templates[name]
		text, ok := texts[t.Template]
		switch {
		case written(name):
			continue
		case !ok || !slices.Contains(t.When, "create") || isDynamic(text):
			ignored = append(ignored, name)
			continue
		}
		f := StaticFile{Path: strings.TrimPrefix(path.Clean("/"+name), "/"), Text: text, Mode: 0o644}
		for _, n := range []struct {
			said string
			base int
			to   func(uint64)
		}{
			{t.UID, 10, func(n uint64) { f.UID = int(n) }},
			{t.GID, 10, func(n uint64) { f.GID = int(n) }},
			{t.Mode, 8, func(n uint64) { f.Mode = fs.FileMode(n) }},
		} {
			if n.said == "" {
				continue
			}
			v, err := strconv.ParseUint(n.said, n.base, 16)
			if err != nil || n.base == 8 && v > 0o777 {
				return nil, nil, fail.New(fail.Usage, "metadata.yaml of the image: %s has the owner or mode %q", name, n.said)
			}
			n.to(v)
		}
		if f.Path == "" {
			return nil, nil, fail.New(fail.Usage, "metadata.yaml of the image: a template makes %q", name)
		}
		static = append(static, f)
	}
	return static, ignored, nil
}

// isDynamic reports whether a text has placeholders, tags or comments of pongo2.
func isDynamic(text string) bool {
	return strings.Contains(text, "{{") || strings.Contains(text, "{%") || strings.Contains(text, "{#")
}

// written reports whether croft itself writes this file in each VPS, or gives the VPS
// what the file is for: its name, its network, its identity, and data for cloud-init.
func written(name string) bool {
	clean := path.Clean("/" + name)
	if slices.Contains([]string{"/etc/hostname", "/etc/hosts", "/etc/machine-id", "/etc/network/interfaces", "/etc/conf.d/hostname", "/etc/sysconfig/network", "/etc/resolv.conf"}, clean) {
		return true
	}
	for _, dir := range []string{"/var/lib/cloud/seed/", "/etc/netplan/", "/etc/systemd/network/", "/etc/sysconfig/network-scripts/", "/etc/NetworkManager/system-connections/"} {
		if strings.HasPrefix(clean, dir) {
			return true
		}
	}
	return false
}
