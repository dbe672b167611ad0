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
)

// Id ranges come in units of 65536, what a distribution's own users fit into,
// aligned to it so that a host's uid says at a glance whose it is. They start
// above what hosts give to people and services and end below 2³¹, where some
// programs see a negative number.
const (
	IDUnit   = 1 << 16
	firstIDs = 16 * IDUnit // 1,048,576: the first multiple above 1,000,000
	endIDs   = 0x7FFE0000  // the last two ranges below 2³¹: builds of templates, and nobody
)

// AllocateIDs chooses a range of size ids (0 is IDUnit; else a multiple of it)
// that no VPS, draft, or VPS in the trash has, of this root or another one of
// the host, nor any user of the host in
// /etc/subuid and /etc/subgid, writes it into v and v into the draft. Then it
// is the draft's: no other is given an id of it while the draft, what becomes
// of it, or what is left of that in the trash exists.
func (d *Draft) AllocateIDs(ctx context.Context, v *VPS, size uint32) error {
	if size == 0 {
		size = IDUnit
	}
	if size%IDUnit != 0 {
		return fail.New(fail.Usage, "%d ids: not a multiple of %d", size, IDUnit)
	}
	return exclusively(ctx, d.store.poolFile(), func() error {
		if err := d.store.register(); err != nil {
			return err
		}
		used, err := d.store.usedIDs()
		if err != nil {
			return err
		}
		ids, ok := freeIDs(used, size)
		if !ok {
			return fail.New(fail.Host, "no %d user ids in a row are left below 2^31", size)
		}
		v.IDs = ids
		return d.Put(*v)
	})
}

// freeIDs is the lowest aligned range of size ids that overlaps none in used.
func freeIDs(used []IDRange, size uint32) (IDRange, bool) {
	used = slices.Clone(used)
	slices.SortFunc(used, func(a, b IDRange) int { return cmp.Compare(a.First, b.First) })
	first := uint64(firstIDs)
	for _, u := range used {
		end := uint64(u.First) + uint64(u.Size)
		if uint64(u.First) < first+uint64(size) && first < end {
			first = (end + IDUnit - 1) / IDUnit * IDUnit
		}
	}
	if first+uint64(size) > endIDs {
		return IDRange{}, false
	}
	return IDRange{First: uint32(first), Size: size}, true
}

// usedIDs is every range that somebody has. It is read with the pool lock held.
func (s *Store) usedIDs() ([]IDRange, error) {
	var used []IDRange
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
	// vps/ comes before trash/, so that what is thrown away meanwhile is seen
	// twice, not never. A draft becomes a VPS only with the pool lock held.
	dirs := []string{s.vpsDirs(), s.TrashDir()}
	others, err := s.others()
	if err != nil {
		return nil, err
	}
	for _, o := range others {
		dirs = append(dirs, o.vpsDirs(), o.TrashDir())
	}
	for _, dir := range dirs {
		names, err := readNames(dir)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			ids, err := s.idsOf(filepath.Join(dir, name, vpsFileName))
			if err != nil {
				return nil, err
			}
			used = append(used, ids)
		}
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

// idsOf is the range that a vps.json says, of whatever schema; none if there is no
// such file. One that cannot be read at all may own any id, so nothing can be
// given away: better no new VPS than two with one owner.
func (s *Store) idsOf(path string) (IDRange, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return IDRange{}, nil // a draft that has none yet, or gone to trash/
	}
	if err != nil {
		return IDRange{}, hostError("read", path, err)
	}
	var v struct {
		IDs IDRange `json:"ids"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return IDRange{}, fail.New(fail.State, "choose user ids: which ones %s has cannot be read: it is corrupt", path)
	}
	return v.IDs, nil
}

// parseSubIDs reads subuid(5): lines of NAME:FIRST:COUNT. Lines that are not
// so are not the kernel's, useradd's or newuidmap's either, and are passed by.
func parseSubIDs(r io.Reader) ([]IDRange, error) {
	var ranges []IDRange
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
		ranges = append(ranges, IDRange{First: uint32(first), Size: uint32(count)})
	}
	return ranges, lines.Err()
}
