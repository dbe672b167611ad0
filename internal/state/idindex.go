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
)

// The index of ids makes a create independent of how many VPSs there are: it
// says which range each directory with a vps.json has, so that these files need
// not be read. It is a cache. A directory that it does not know is looked into,
// an index that cannot be read is made anew, and without one everything works.
// A VPS keeps its ids from the draft to the trash, so an entry is true as long
// as the directory exists. It is written with the pool lock held.

// A dirKey names a directory of a VPS: by its inode, which it keeps when it is
// moved, and by the VPS's name, since a file system uses inodes again.
type dirKey struct {
	name  string
	inode uint64
}

// A dirEntry is a directory as its parent lists it.
type dirEntry struct {
	name  string
	inode uint64
}

// key is what the index knows a directory in vps/ or trash/ by: a draft is
// called .NAME.SUFFIX, a VPS in the trash NAME.SUFFIX.
func (e dirEntry) key() dirKey {
	name, _, _ := strings.Cut(strings.TrimPrefix(e.name, "."), ".")
	return dirKey{name, e.inode}
}

// listDirs reads the directory at path. One that is missing is empty.
func listDirs(path string) ([]dirEntry, error) {
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
		all = append(all, parseDirents(buf[:n])...)
	}
}

// parseDirents reads what getdents64(2) returned, without "." and "..".
func parseDirents(buf []byte) []dirEntry {
	const header = 19 // d_ino 8, d_off 8, d_reclen 2, d_type 1
	var all []dirEntry
	for len(buf) > header {
		length := int(binary.NativeEndian.Uint16(buf[16:]))
		if length <= header || length > len(buf) {
			break
		}
		name, _, _ := bytes.Cut(buf[header:length], []byte{0})
		if s := string(name); s != "." && s != ".." {
			all = append(all, dirEntry{s, binary.NativeEndian.Uint64(buf)})
		}
		buf = buf[length:]
	}
	return all
}

// idIndexFile is the index of ids. It lies beside the VPSs that it is about.
func (s *Store) idIndexFile() string { return filepath.Join(s.Root, "ids") }

const idIndexHead = "croft ids 1\n"

// readIDIndex returns the index, empty if there is none that can be believed.
func (s *Store) readIDIndex() map[dirKey]IDRange {
	index := map[dirKey]IDRange{}
	data, err := os.ReadFile(s.idIndexFile())
	if err != nil {
		return index
	}
	lines, sum, ok := bytes.Cut(data, []byte("sum "))
	if !ok || !bytes.HasPrefix(lines, []byte(idIndexHead)) || string(sum) != sumOf(lines) {
		return index // another croft's, or cut short by a power cut
	}
	for line := range strings.Lines(string(lines[len(idIndexHead):])) {
		if k, ids, ok := parseIDLine(line); ok {
			index[k] = ids
		}
	}
	return index
}

// parseIDLine reads NAME INODE FIRST SIZE.
func parseIDLine(line string) (k dirKey, ids IDRange, ok bool) {
	f := strings.Fields(line)
	if len(f) != 4 {
		return k, ids, false
	}
	inode, err := strconv.ParseUint(f[1], 10, 64)
	first, err1 := strconv.ParseUint(f[2], 10, 32)
	size, err2 := strconv.ParseUint(f[3], 10, 32)
	return dirKey{f[0], inode}, IDRange{uint32(first), uint32(size)}, err == nil && err1 == nil && err2 == nil
}

// writeIDIndex replaces the index. It is not synced and its failure is no
// one's: the next reader would read the files instead.
func (s *Store) writeIDIndex(index map[dirKey]IDRange) {
	var out bytes.Buffer
	out.WriteString(idIndexHead)
	for k, ids := range index {
		fmt.Fprintln(&out, k.name, k.inode, ids.First, ids.Size)
	}
	fmt.Fprintf(&out, "sum %s", sumOf(out.Bytes()))
	tmp := s.idIndexFile() + ".new"
	err := os.WriteFile(tmp, out.Bytes(), 0o600)
	if err == nil {
		err = os.Rename(tmp, s.idIndexFile())
	}
	if err != nil {
		_ = os.Remove(tmp)
		_ = os.Remove(s.idIndexFile())
	}
}

func sumOf(data []byte) string { return fmt.Sprintf("%08x\n", crc32.ChecksumIEEE(data)) }
