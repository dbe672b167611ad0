package vps

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"croft/internal/fail"
)

// A MountKind says what a VPS has mounted.
type MountKind string

// The kinds of mounts.
const (
	MountHost   MountKind = "host"   // a directory or a file of the host
	MountVolume MountKind = "volume" // a named volume
	MountTmpfs  MountKind = "tmpfs"  // memory
)

// A Mount is a directory or a file that a VPS has beside its root filesystem. Its
// flags nosuid and nodev are always set.
type Mount struct {
	Kind     MountKind `json:"kind"`
	Source   string    `json:"source,omitempty"` // host: an absolute path; volume: its name
	Target   string    `json:"target"`           // inside, an absolute path
	ReadOnly bool      `json:"readOnly,omitempty"`
	NoExec   bool      `json:"noexec,omitempty"`
	HostIDs  bool      `json:"hostIDs,omitempty"`   // host: files keep the ids that they have on the host
	Size     int64     `json:"sizeBytes,omitempty"` // tmpfs: 0 is half of the memory
	Mode     string    `json:"mode,omitempty"`      // tmpfs: of its root, octal; "" is 0755
}

// mountSpaces are directories that croft itself mounts or uses inside. No mount of
// a user is at or below one.
var mountSpaces = []string{"/proc", "/sys", "/dev", "/run/host"}

// Check returns fail.Usage for an invalid mount.
func (m Mount) Check() error {
	if err := checkTarget(m.Target); err != nil {
		return err
	}
	switch m.Kind {
	case MountHost:
		if err := checkPath(m.Source); err != nil {
			return fail.New(fail.Usage, "mount %s: source: %w", m, err)
		}
	case MountVolume:
		if err := CheckVolume(m.Source); err != nil {
			return fail.New(fail.Usage, "mount %s: %w", m, err)
		}
	case MountTmpfs:
		if m.Source != "" {
			return fail.New(fail.Usage, "mount %s: a tmpfs has no source", m)
		}
	default:
		return fail.New(fail.Usage, "mount on %s: invalid kind %q", m.Target, string(m.Kind))
	}
	if m.HostIDs && m.Kind != MountHost {
		return fail.New(fail.Usage, "mount %s: host-ids is for directories and files of the host", m)
	}
	if m.Kind != MountTmpfs && (m.Size != 0 || m.Mode != "") {
		return fail.New(fail.Usage, "mount %s: size and mode are for tmpfs", m)
	}
	if m.Size < 0 {
		return fail.New(fail.Usage, "mount %s: invalid size %d", m, m.Size)
	}
	if n, err := strconv.ParseUint(m.Mode, 8, 32); m.Mode != "" && (err != nil || n > 0o1777) {
		return fail.New(fail.Usage, "mount %s: invalid mode %q: use an octal number up to 1777", m, m.Mode)
	}
	return nil
}

// checkTarget returns fail.Usage for a path inside on which nothing can be mounted.
func checkTarget(target string) error {
	if err := checkPath(target); err != nil {
		return fail.New(fail.Usage, "mount on %s: target: %w", target, err)
	}
	if target == "/" {
		return fail.New(fail.Usage, "mount on /: this is the root filesystem of the VPS")
	}
	for _, space := range append([]string{"/run"}, mountSpaces...) {
		if target == space || space != "/run" && strings.HasPrefix(target, space+"/") {
			return fail.New(fail.Usage, "mount on %s: %s inside belongs to the system", target, space)
		}
	}
	return nil
}

// checkPath returns an error for text that is not an absolute path in its shortest
// form.
func checkPath(p string) error {
	switch {
	case !path.IsAbs(p):
		return fmt.Errorf("invalid path %q: use an absolute one", p)
	case path.Clean(p) != p:
		return fmt.Errorf("invalid path %q: use %s", p, path.Clean(p))
	case len(p) >= 4096 || strings.ContainsFunc(p, unicode.IsControl) || strings.Contains(p, ":"):
		return fmt.Errorf("invalid path %q: it is too long, or has a colon or a control character", p)
	}
	return nil
}

// CheckVolume returns an error for text that is not the name of a volume. The rules
// are those of names of VPSs.
func CheckVolume(name string) error {
	if _, err := ParseName(name); err != nil {
		return fmt.Errorf("invalid name of a volume %q: use 1 to 63 of a-z, 0-9 and -, not at the start or end", name)
	}
	return nil
}

// String is m as a user types it: /srv/www:/var/www:ro.
func (m Mount) String() string {
	source := m.Source
	if m.Kind == MountTmpfs {
		source = string(MountTmpfs)
	}
	var options []string
	for _, o := range []struct {
		set  bool
		text string
	}{
		{m.ReadOnly, "ro"}, {m.NoExec, "noexec"}, {m.HostIDs, "host-ids"},
		{m.Size != 0, "size=" + sizeText(m.Size)}, {m.Mode != "", "mode=" + m.Mode},
	} {
		if o.set {
			options = append(options, o.text)
		}
	}
	text := source + ":" + m.Target
	if len(options) > 0 {
		text += ":" + strings.Join(options, ",")
	}
	return text
}

// sizeText writes bytes exactly, in the greatest unit that needs no fraction.
func sizeText(n int64) string {
	unit := ""
	for i := 0; i < 4 && n%1024 == 0; i++ {
		n, unit = n/1024, "KMGT"[i:i+1]
	}
	return strconv.FormatInt(n, 10) + unit
}

// checkMounts checks each mount, and that no two have one target.
func (v VPS) checkMounts() error {
	for n, m := range v.Mounts {
		if err := m.Check(); err != nil {
			return err
		}
		if v.MountAt(m.Target) != n {
			return fail.New(fail.Usage, "mount %s: there is another mount on %s", m, m.Target)
		}
	}
	return nil
}

// MountAt returns the index of the mount on target; -1 if there is none.
func (v VPS) MountAt(target string) int {
	return slices.IndexFunc(v.Mounts, func(m Mount) bool { return m.Target == target })
}

// UsesVolume reports whether v has the volume mounted.
func (v VPS) UsesVolume(name string) bool {
	return slices.ContainsFunc(v.Mounts, func(m Mount) bool { return m.Kind == MountVolume && m.Source == name })
}

// A MountPlan is what makes a VPS that has some mounts have others.
type MountPlan struct {
	Remove []Mount // in this order: what is below another mount comes first
	Ensure []Mount // in this order: what is below another mount comes later
}

// PlanMounts returns the plan from the mounts in from to those in to. It also
// ensures mounts that do not change, because programs inside may have unmounted
// them.
func PlanMounts(from, to []Mount) MountPlan {
	var p MountPlan
	for _, m := range from {
		if !slices.Contains(to, m) {
			p.Remove = append(p.Remove, m)
		}
	}
	p.Ensure = slices.Clone(to)
	byTarget := func(a, b Mount) int { return strings.Compare(a.Target, b.Target) }
	slices.SortFunc(p.Remove, func(a, b Mount) int { return byTarget(b, a) })
	slices.SortFunc(p.Ensure, byTarget)
	return p
}
