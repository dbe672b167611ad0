package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strings"

	"croft/internal/atomicfile"
	"croft/internal/fail"
	"croft/internal/initkind"
	"croft/internal/inside"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/fit"
	"croft/runtime/guests"
	"croft/runtime/paths"
	"croft/template"
	"croft/template/rootfs"
)

// fitGuest makes the files of the template fit v at its first start, and returns the
// steps that it has made. No program of v runs yet.
func (m *Manager) fitGuest(v vps.VPS, r rootfs.Rootfs, files *inside.Root, init initkind.Kind, image template.Image) ([]string, error) {
	g := fit.Guest{Init: init, UUID: v.UUID, IDs: v.IDs.Size}
	for _, i := range v.Interfaces {
		g.Links = append(g.Links, i.Name)
	}
	for _, d := range v.Devices {
		g.Devices = append(g.Devices, cmp.Or(d.Path, d.Source))
	}
	done, warnings, err := m.guests.Fit(files, v.IDs.First, ownDirs(r), g, fitOf(v, image))
	m.warnAll(v.Name, warnings)
	return done, err
}

// ownDirs says which files the VPS with the root filesystem r has written.
func ownDirs(r rootfs.Rootfs) guests.OwnDirs {
	own := guests.OwnDirs{Dir: r.Own().Dir}
	if r.Plain() {
		own.Template = r.Layers
	}
	return own
}

// fitOf returns the steps of v. By default a VPS of a backup is what the former VPS was,
// whose first start has made the steps.
func fitOf(v vps.VPS, image template.Image) vps.Fit {
	if v.Fit == "" && image.KeepsIdentity {
		return vps.FitNone
	}
	return v.Fit
}

// firstStart reports whether name has never been started.
func (m *Manager) firstStart(name vps.Name) (bool, error) {
	_, started, err := m.started(name)
	return !started, err
}

// started reports whether name has had its first start, and which steps that made.
func (m *Manager) started(name vps.Name) (steps []string, started bool, err error) {
	text, err := os.ReadFile(paths.Configured(m.store, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("look whether %s was started before: %w", name, err)
	}
	return strings.Fields(string(text)), true, nil
}

// noteConfigured notes in file that a VPS has had its first start, and which steps of it
// were needed.
func noteConfigured(file string, steps []string) error {
	text := ""
	for _, s := range steps {
		text += s + "\n"
	}
	if err := atomicfile.Replace(file, 0o600, []byte(text)); err != nil {
		return fmt.Errorf("note that the guest is configured: %w", err)
	}
	return nil
}

// settleRestored completes what the restore of a snapshot has begun when it saved the settings
// of the locked VPS v: the root directory of its own files is like that of the files below, and
// its next start is the first one if the snapshot is from before that: then they are as the
// template has them. It returns its settings after that. No-op for other VPSs.
func (m *Manager) settleRestored(l *state.Locked, v vps.VPS) (vps.VPS, error) {
	if v.Restored == "" {
		return v, nil
	}
	if v.Disk.Image == "" && v.Storage != vps.StoragePlain { // others are complete when they are saved
		root, err := m.rootfs(v)
		if err == nil {
			err = m.rootfses.MakeOver(root)
		}
		if err != nil {
			return v, fmt.Errorf("it has the files of the snapshot, and the next command completes the rest: %w", err)
		}
	}
	if err := m.noteStarts(v.Name, v.Restored == vps.RestoredNeverStarted); err != nil {
		return v, err
	}
	now := v.Clone()
	now.Restored = ""
	if err := l.Put(now); err != nil {
		return v, err
	}
	return now, nil
}

// noteStarts notes whether name has never been started.
func (m *Manager) noteStarts(name vps.Name, never bool) error {
	first, err := m.firstStart(name)
	if err != nil || first == never {
		return err
	}
	if !never {
		return noteConfigured(paths.Configured(m.store, name), nil)
	}
	if err := os.Remove(paths.Configured(m.store, name)); err != nil {
		return fmt.Errorf("note that the guest is not configured: %w", err)
	}
	return nil
}

// startSysctls returns the sysctls of v, and what a start sets beside them: all users
// may ping. By default the kernel allows no group, and ping of some distributions has no
// capability of its own.
func startSysctls(v vps.VPS) map[string]string {
	if _, set := v.Sysctls[fit.PingKey]; set || !v.Fit.Has(vps.FitPing) {
		return v.Sysctls
	}
	all := maps.Clone(v.Sysctls)
	if all == nil {
		all = map[string]string{}
	}
	all[fit.PingKey] = fit.PingRange(v.IDs.Size)
	return all
}

// checkFit is fail.State if the steps of a VPS that has had its first start change.
func (c *change) checkFit() error {
	if c.was.Fit == c.now.Fit {
		return nil
	}
	if first, err := c.firstStart(c.now.Name); err != nil || first {
		return err
	}
	return fail.New(fail.State, "%s has had its first start, and --fit counts only there (it has: %s)", c.now.Name, c.was.Fit)
}
