package values

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"croft/internal/sizes"
	"croft/internal/vps"
)

// MountForm is how a mount is written, for help.
const MountForm = "SOURCE:TARGET[:OPTION,...]"

// Mount reads SOURCE:TARGET[:OPTION,...]. SOURCE is an absolute path of the host,
// tmpfs, or the name of a volume.
func Mount(s string) (vps.Mount, error) {
	words := strings.Split(s, ":")
	if len(words) < 2 || len(words) > 3 || slices.Contains(words, "") {
		return vps.Mount{}, fmt.Errorf("invalid mount %q: use %s, for example /srv/www:/var/www:ro, data:/srv, tmpfs:/cache:size=64M", s, MountForm)
	}
	m := vps.Mount{Kind: vps.MountVolume, Source: words[0], Target: cleaned(words[1])}
	switch {
	case words[0] == string(vps.MountTmpfs):
		m.Kind, m.Source = vps.MountTmpfs, ""
	case strings.Contains(words[0], "/"):
		m.Kind, m.Source = vps.MountHost, cleaned(words[0])
	}
	if len(words) == 3 {
		for _, option := range strings.Split(words[2], ",") {
			if err := setMountOption(&m, option); err != nil {
				return vps.Mount{}, fmt.Errorf("mount %q: %w", s, err)
			}
		}
	}
	return m, m.Check()
}

// MountTarget reads a path inside that has a mount.
func MountTarget(s string) (string, error) {
	if !path.IsAbs(s) {
		return "", fmt.Errorf("invalid path %q: use an absolute one", s)
	}
	return path.Clean(s), nil
}

// cleaned is the shortest form of an absolute path.
func cleaned(s string) string {
	if !path.IsAbs(s) {
		return s
	}
	return path.Clean(s)
}

func setMountOption(m *vps.Mount, option string) error {
	key, value, hasValue := strings.Cut(option, "=")
	if hasValue != (key == "size" || key == "mode") || hasValue && value == "" {
		key = ""
	}
	switch key {
	case "ro":
		m.ReadOnly = true
	case "noexec":
		m.NoExec = true
	case "host-ids":
		m.HostIDs = true
	case "rw", "nosuid", "nodev": // as every mount is
	case "size":
		n, err := sizes.Parse(value)
		if err != nil || n == 0 {
			return fmt.Errorf("invalid size %q (for example 64M, 1G)", value)
		}
		m.Size = n
	case "mode":
		m.Mode = value
	default:
		return fmt.Errorf("invalid option %q: use ro, rw, noexec, nosuid, nodev, host-ids, size=SIZE or mode=MODE", option)
	}
	return nil
}

// Volume reads the name of a volume.
func Volume(s string) (string, error) { return s, vps.CheckVolume(s) }
