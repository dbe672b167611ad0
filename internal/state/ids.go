package state

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/flock"
	"croft/internal/vps"
)

// Id ranges have units of 65536, enough for the users of a distribution. They
// are aligned to units, so that a uid of the host shows whose it is. They start
// above the ids of users and services of hosts, and end below 2³¹, where some
// programs see a negative number.
const (
	IDUnit   = 1 << 16
	firstIDs = 16 * IDUnit // 1,048,576: the first multiple above 1,000,000
	endIDs   = 0x7FFE0000  // the last two ranges below 2³¹ are for builds of templates, and unused
)

// AllocateIDs chooses a range of size ids (a multiple of IDUnit; 0 is IDUnit)
// and writes it into v, and v into the draft. No VPS, draft or VPS in the trash
// has an id of it, in any state directory of the host, and no user of the host
// has one in /etc/subuid and /etc/subgid. The range belongs to the draft, then
// to its VPS, and then to the trash, as long as one of them exists.
func (d *Draft) AllocateIDs(ctx context.Context, v *vps.VPS, size uint32) error {
	if size == 0 {
		size = IDUnit
	}
	if size%IDUnit != 0 {
		return fail.New(fail.Usage, "%d ids: not a multiple of %d", size, IDUnit)
	}
	return d.reserveIDs(ctx, v, func(used []vps.IDRange) (vps.IDRange, error) { return d.store.freeOfProcesses(used, size) })
}

// TakeIDs is AllocateIDs of a given range. It is fail.Taken if that is not free. Processes
// that have the ids do not count: Unused.
func (d *Draft) TakeIDs(ctx context.Context, v *vps.VPS, ids vps.IDRange) error {
	return d.reserveIDs(ctx, v, func(used []vps.IDRange) (vps.IDRange, error) { return ids, checkFree(used, ids) })
}

// IDsFree is fail.Taken if TakeIDs of the range would fail.
func (s *Store) IDsFree(ctx context.Context, ids vps.IDRange) error {
	return exclusively(ctx, s.poolFile(), flock.IDs, func() error {
		used, _, err := s.usedIDs("")
		if err != nil {
			return err
		}
		return checkFree(used, ids)
	})
}

// checkFree is fail.Taken if one of ids is in used.
func checkFree(used []vps.IDRange, ids vps.IDRange) error {
	first, end := uint64(ids.First), uint64(ids.First)+uint64(ids.Size)
	if first < firstIDs || end > endIDs || first%IDUnit != 0 || ids.Size == 0 || ids.Size%IDUnit != 0 {
		return fail.New(fail.Usage, "invalid user ids: %d from %d on", ids.Size, ids.First)
	}
	for _, u := range used {
		if uint64(u.First) < end && first < uint64(u.First)+uint64(u.Size) {
			return fail.New(fail.Taken, "the user ids %d to %d are not free", first, end-1)
		}
	}
	return nil
}

// reserveIDs writes the range that choose returns into v, and v into the draft. used are
// those that are not free.
func (d *Draft) reserveIDs(ctx context.Context, v *vps.VPS, choose func(used []vps.IDRange) (vps.IDRange, error)) error {
	return exclusively(ctx, d.store.poolFile(), flock.IDs, func() error {
		if err := d.store.register(); err != nil {
			return err
		}
		used, index, err := d.store.usedIDs(d.Dir)
		if err != nil {
			return err
		}
		ids, err := choose(used)
		if err != nil {
			return err
		}
		v.IDs = ids
		if err := d.Put(*v); err != nil {
			return err
		}
		if key, err := keyOf(d.Dir); err == nil {
			d.store.writeIDIndex(append(index, dirRange{key, ids}))
		}
		return nil
	})
}

// freeOfProcesses chooses a range that is not in used and that no process of
// the host has: files can be lost while a VPS runs.
func (s *Store) freeOfProcesses(used []vps.IDRange, size uint32) (vps.IDRange, error) {
	for {
		ids, ok := freeIDs(used, size)
		if !ok {
			return vps.IDRange{}, fail.New(fail.Host, "no %d user ids in a row are left below 2^31", size)
		}
		unit, inUse := s.firstInUse(ids)
		if !inUse {
			return ids, nil
		}
		used = append(used, unit)
	}
}

// firstInUse returns the first unit of ids whose lowest user a process of the
// host runs as: the root of a VPS.
func (s *Store) firstInUse(ids vps.IDRange) (vps.IDRange, bool) {
	for first := uint64(ids.First); first < uint64(ids.First)+uint64(ids.Size); first += IDUnit {
		if s.userRuns(uint32(first)) {
			return vps.IDRange{First: uint32(first), Size: IDUnit}, true
		}
	}
	return vps.IDRange{}, false
}

// Unused refuses with fail.Taken a range whose ids a process of the host has: the
// files that say whose they are can be lost or copied, the kernel knows. A zero
// range is unused.
func (s *Store) Unused(ids vps.IDRange) error {
	if ids.Size == 0 {
		return nil
	}
	if unit, inUse := s.firstInUse(ids); inUse {
		return fail.New(fail.Taken, "a process that is not its own runs as its user %d", unit.First).WithHint("ps -f -U %d", unit.First)
	}
	return nil
}

// userRuns reports whether a process has uid as its real user id, one that is
// not a zombie. The kernel looks it up among the users that it counts processes
// of, so no for an answer takes no longer the more processes there are
// (kernel/sys.c, getpriority). It counts zombies too: those in /proc are asked.
func userRuns(uid uint32) bool {
	if _, err := unix.Getpriority(unix.PRIO_USER, int(uid)); err != nil {
		return false
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return true
	}
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			return false
		}
		status, err := os.ReadFile(filepath.Join("/proc", e.Name(), "status"))
		return err == nil && runsAs(string(status), uid)
	})
}

// runsAs reads from /proc/PID/status (proc_pid_status(5)) whether the process
// has uid as its real user id, and is not a zombie.
func runsAs(status string, uid uint32) bool {
	var ended, its bool
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		switch key {
		case "State":
			ended = fields[0] == "Z" || fields[0] == "X"
		case "Uid":
			its = fields[0] == strconv.FormatUint(uint64(uid), 10)
		}
	}
	return its && !ended
}

// freeIDs is the lowest aligned range of size ids that overlaps none in used.
func freeIDs(used []vps.IDRange, size uint32) (vps.IDRange, bool) {
	used = slices.Clone(used)
	slices.SortFunc(used, func(a, b vps.IDRange) int { return cmp.Compare(a.First, b.First) })
	first := uint64(firstIDs)
	for _, u := range used {
		end := uint64(u.First) + uint64(u.Size)
		if uint64(u.First) < first+uint64(size) && first < end {
			first = (end + IDUnit - 1) / IDUnit * IDUnit
		}
	}
	if first+uint64(size) > endIDs {
		return vps.IDRange{}, false
	}
	return vps.IDRange{First: uint32(first), Size: size}, true
}

// usedIDs returns every range in use but that of the draft except, and those of
// this root's directories. It is read with the pool lock held.
func (s *Store) usedIDs(except string) (used []vps.IDRange, own []dirRange, err error) {
	if used, err = s.subIDs(); err != nil {
		return nil, nil, err
	}
	own, err = s.dirIDs(except)
	if err != nil {
		return nil, nil, err
	}
	others, err := s.others()
	if err != nil {
		return nil, nil, err
	}
	all := own
	for _, o := range others {
		theirs, err := o.dirIDs("")
		if err != nil {
			return nil, nil, err
		}
		all = slices.Concat(all, theirs)
	}
	for _, d := range all {
		used = append(used, d.ids)
	}
	return used, own, nil
}

// dirIDs returns the range of each VPS, draft, and VPS in the trash of s,
// without the directory except. It reads only directories that the index does
// not have.
func (s *Store) dirIDs(except string) ([]dirRange, error) {
	index := s.readIDIndex()
	all := make([]dirRange, 0, len(index)+1)
	// vps/ comes before trash/, so that a VPS that is destroyed meanwhile is
	// seen twice and not never. A draft becomes a VPS only with the ids lock
	// held.
	for _, dir := range []string{s.vpsDirs(), s.TrashDir()} {
		entries, err := listDirs(dir, nil)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if except != "" && e.name == filepath.Base(except) && filepath.Join(dir, e.name) == except {
				continue
			}
			ids, known := index[e.key()]
			if !known {
				if ids, err = s.idsIn(filepath.Join(dir, e.name)); err != nil {
					return nil, err
				}
			}
			all = append(all, dirRange{e.key(), ids})
		}
	}
	return all, nil
}

// subIDs are the ranges that the host gives to its own users.
func (s *Store) subIDs() ([]vps.IDRange, error) {
	var used []vps.IDRange
	for _, path := range s.subIDFiles {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, hostError("read", path, err)
		}
		ranges, err := parseSubIDs(f)
		f.Close()
		if err != nil {
			return nil, hostError("read", path, err)
		}
		used = append(used, ranges...)
	}
	return used, nil
}

func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, hostError("open", dir, err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, hostError("read", dir, err)
	}
	return names, nil
}

// idsIn is the range that the vps.json in dir says, of whatever schema; none if
// dir is a draft that has none yet, or no directory. A VPS whose ids cannot be
// known may own any, so nothing can be given away: better no new VPS than two
// with one owner.
func (s *Store) idsIn(dir string) (vps.IDRange, error) {
	path := filepath.Join(dir, vpsFileName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		if _, invalid := vps.ParseName(filepath.Base(dir)); invalid != nil || !isDir(dir) {
			return vps.IDRange{}, nil // a draft, rubbish, or gone to trash/
		}
		return vps.IDRange{}, unknownIDs(dir, "it has no "+vpsFileName)
	}
	if err != nil {
		return vps.IDRange{}, hostError("read", path, err)
	}
	var v struct {
		IDs        vps.IDRange `json:"ids"`
		Privileged bool        `json:"privileged"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return vps.IDRange{}, unknownIDs(dir, path+" is corrupt")
	}
	if v.IDs.Size == 0 && !v.Privileged {
		return vps.IDRange{}, unknownIDs(dir, path+" names none")
	}
	return v.IDs, nil
}

func unknownIDs(dir, why string) error {
	return fail.New(fail.State, "cannot choose user ids: those of %s are unknown: %s", filepath.Base(dir), why)
}

func isDir(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}

// keyOf returns the key of the directory dir in the index.
func keyOf(dir string) (dirKey, error) {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return dirKey{}, hostError("look at", dir, err)
	}
	return dirEntry{filepath.Base(dir), st.Ino}.key(), nil
}

// parseSubIDs reads subuid(5): lines of NAME:FIRST:COUNT. Lines that are not
// so are not the kernel's, useradd's or newuidmap's either, and are passed by.
func parseSubIDs(r io.Reader) ([]vps.IDRange, error) {
	var ranges []vps.IDRange
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Split(strings.TrimSpace(lines.Text()), ":")
		if len(fields) != 3 {
			continue
		}
		first, err1 := strconv.ParseUint(fields[1], 10, 32)
		count, err2 := strconv.ParseUint(fields[2], 10, 32)
		if err1 != nil || err2 != nil {
			continue
		}
		ranges = append(ranges, vps.IDRange{First: uint32(first), Size: uint32(count)})
	}
	return ranges, lines.Err()
}
