package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/vps"
)

// The index of ids makes the cost of a create independent of the number of
// VPSs. It stores the id range of each directory with a vps.json, so that these
// files need not be read. It is a cache. Directories that it does not have are
// read, an index that cannot be read is created again, and everything works
// without one. A VPS keeps its ids from the draft to the trash, so an entry is
// right as long as the directory exists. The index is written with the ids lock
// held.

// A dirKey names a directory of a VPS: by its inode, which it keeps when it is
// moved, and by the VPS's name, since a file system uses inodes again.
type dirKey struct {
	name  string
	inode uint64
}

// A dirRange is a directory and the ids of the VPS in it.
type dirRange struct {
	key dirKey
	ids vps.IDRange
}

// A dirEntry is a directory as its parent lists it.
type dirEntry struct {
	name  string
	inode uint64
}

// key is the key of a directory in vps/ or trash/. A draft has the name
// .NAME.SUFFIX, a VPS in the trash NAME.SUFFIX.
func (e dirEntry) key() dirKey {
	name, _, _ := strings.Cut(strings.TrimPrefix(e.name, "."), ".")
	return dirKey{name, e.inode}
}

// listDirs returns the wanted entries of the directory at path, all if wanted
// is nil. A missing directory is empty.
func listDirs(path string, want func(name []byte) bool) ([]dirEntry, error) {
	dir, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, hostError("open", path, err)
	}
	defer dir.Close()
	var all []dirEntry
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Getdents(int(dir.Fd()), buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, hostError("read", path, err)
		}
		if n <= 0 {
			return all, nil
		}
		all = appendDirents(all, buf[:n], want)
	}
}

// appendDirents reads what getdents64(2) returned, without "." and "..".
func appendDirents(all []dirEntry, buf []byte, want func(name []byte) bool) []dirEntry {
	const header = 19 // d_ino 8, d_off 8, d_reclen 2, d_type 1
	for len(buf) > header {
		length := int(binary.NativeEndian.Uint16(buf[16:]))
		if length <= header || length > len(buf) {
			break
		}
		name, _, _ := bytes.Cut(buf[header:length], []byte{0})
		if string(name) != "." && string(name) != ".." && (want == nil || want(name)) {
			all = append(all, dirEntry{string(name), binary.NativeEndian.Uint64(buf)})
		}
		buf = buf[length:]
	}
	return all
}

// idIndexFile is the index of ids. It lies beside the VPSs that it is about.
func (s *Store) idIndexFile() string { return filepath.Join(s.Root, "ids") }

const idIndexHead = "croft ids 1\n"

// readIDIndex returns the index, empty if it is missing or invalid.
func (s *Store) readIDIndex() map[dirKey]vps.IDRange {
	data, err := os.ReadFile(s.idIndexFile())
	if err != nil {
		return nil
	}
	lines, sum, ok := bytes.Cut(data, []byte("sum "))
	if !ok || !bytes.HasPrefix(lines, []byte(idIndexHead)) || string(sum) != sumOf(lines) {
		return nil // another croft's, or cut short by a power cut
	}
	index := make(map[dirKey]vps.IDRange, bytes.Count(lines, []byte("\n")))
	for line := range strings.Lines(string(lines[len(idIndexHead):])) {
		if k, ids, ok := parseIDLine(line); ok {
			index[k] = ids
		}
	}
	return index
}

// parseIDLine reads NAME INODE FIRST SIZE.
func parseIDLine(line string) (k dirKey, ids vps.IDRange, ok bool) {
	name, rest, _ := strings.Cut(line, " ")
	inodeText, rest, _ := strings.Cut(rest, " ")
	firstText, sizeText, _ := strings.Cut(rest, " ")
	inode, err := strconv.ParseUint(inodeText, 10, 64)
	first, err1 := strconv.ParseUint(firstText, 10, 32)
	size, err2 := strconv.ParseUint(strings.TrimSuffix(sizeText, "\n"), 10, 32)
	return dirKey{name, inode}, vps.IDRange{First: uint32(first), Size: uint32(size)}, err == nil && err1 == nil && err2 == nil
}

// writeIDIndex replaces the index. It is not synced and its failure is no
// one's: the next reader would read the files instead.
func (s *Store) writeIDIndex(index []dirRange) {
	const line = 64 // bytes, mostly
	out := append(make([]byte, 0, line*(len(index)+2)), idIndexHead...)
	for _, d := range index {
		out = append(append(out, d.key.name...), ' ')
		out = append(strconv.AppendUint(out, d.key.inode, 10), ' ')
		out = append(strconv.AppendUint(out, uint64(d.ids.First), 10), ' ')
		out = append(strconv.AppendUint(out, uint64(d.ids.Size), 10), '\n')
	}
	out = fmt.Appendf(out, "sum %s", sumOf(out))
	tmp := s.idIndexFile() + ".new"
	err := os.WriteFile(tmp, out, 0o600)
	if err == nil {
		err = os.Rename(tmp, s.idIndexFile())
	}
	if err != nil {
		_ = os.Remove(tmp)
		_ = os.Remove(s.idIndexFile())
	}
}

func sumOf(data []byte) string { return fmt.Sprintf("%08x\n", crc32.ChecksumIEEE(data)) }
