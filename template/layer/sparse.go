package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A file with large holes becomes a sparse entry of an archive, in the format that
// GNU tar calls PAX 1.0 (its manual, "Storing Sparse Files"). A map before the
// data says where the data belong. GNU tar, libarchive and archive/tar can read
// it; Docker, Podman, containerd and umoci use archive/tar. archive/tar cannot
// write it, and reads holes as zeros, byte by byte. So this file does both.

const (
	// minHoles is how many bytes of holes a file in a layer needs to become a
	// sparse entry. The OCI image specification advises against such entries
	// (layer.md, "File Attributes"). Podman and Docker cannot save or push an image
	// with one after they have unpacked it. Fewer zeros cost little: they compress
	// well.
	minHoles = 256 << 20
	// MinHolesRootfs is the same for a plain tar of a root filesystem, which is not
	// a layer of an image.
	MinHolesRootfs = 16 << 20
	// minGap is the smallest hole that is left out of a sparse entry, in bytes.
	minGap = 1 << 20
	// maxExtents and maxMap limit the map: archive/tar reads at most 1 MiB of one.
	maxExtents = 30000
	maxMap     = 1 << 20
)

// Keys of PAX records. sparseFilter renames them, so that archive/tar does not
// interpret the entry. Both prefixes have the same length.
const (
	sparsePrefix  = "GNU.sparse."
	renamedPrefix = "CRO.sparse."
	keyMajor      = renamedPrefix + "major"
	keyMinor      = renamedPrefix + "minor"
	keyName       = renamedPrefix + "name"
	keyRealSize   = renamedPrefix + "realsize"
)

// An extent is a range of bytes in a file that has data.
type extent struct{ at, size int64 }

// extents returns the ranges of the file fd that have data. size is the size of
// the file. It returns nil if the file has fewer than least bytes of holes, or if
// the filesystem does not report holes.
func extents(fd int, size, least int64) ([]extent, error) {
	gap := max(minGap, size/maxExtents)
	var all []extent
	for at := int64(0); at < size; {
		data, err := unix.Seek(fd, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // the rest is a hole
		}
		if errors.Is(err, unix.EINVAL) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		end, err := unix.Seek(fd, data, unix.SEEK_HOLE)
		if err != nil {
			return nil, err
		}
		if end = min(end, size); end <= data {
			break
		}
		if last := len(all) - 1; last >= 0 && data-(all[last].at+all[last].size) < gap {
			all[last].size = end - all[last].at
		} else {
			all = append(all, extent{data, end - data})
		}
		at = end
	}
	holes := size
	for _, e := range all {
		holes -= e.size
	}
	if holes < least {
		return nil, nil
	}
	if n := len(all); n == 0 || all[n-1].at+all[n-1].size < size {
		all = append(all, extent{size, 0}) // the format's mark for a hole at the end
	}
	return all, nil
}

// sparseMap returns the map of an entry, padded to whole blocks.
func sparseMap(all []extent) []byte {
	b := fmt.Appendf(nil, "%d\n", len(all))
	for _, e := range all {
		b = fmt.Appendf(b, "%d\n%d\n", e.at, e.size)
	}
	return append(b, make([]byte, BlockSize-1-(len(b)-1)%BlockSize)...)
}

// sparse writes the file f as a sparse entry with the header h. all are the
// extents of f.
func (p *Packer) sparse(f io.ReadSeeker, h *tar.Header, all []extent) error {
	body := sparseMap(all)
	real := h.Size
	h.Size = int64(len(body))
	for _, e := range all {
		h.Size += e.size
	}
	head, err := sparseHeader(h, real)
	if err != nil {
		return err
	}
	if err := p.tar.Flush(); err != nil {
		return err
	}
	if _, err := p.out.Write(append(head, body...)); err != nil {
		return err
	}
	for _, e := range all {
		if _, err := f.Seek(e.at, io.SeekStart); err != nil {
			return err
		}
		if err := p.copy(p.out, f, e.size); err != nil {
			return err
		}
	}
	_, err = p.out.Write(make([]byte, BlockSize-1-(h.Size+BlockSize-1)%BlockSize))
	return err
}

// sparseHeader returns the header blocks of h, a sparse file with a size of real
// bytes.
func sparseHeader(h *tar.Header, real int64) ([]byte, error) {
	h.PAXRecords[keyMajor], h.PAXRecords[keyMinor] = "1", "0"
	h.PAXRecords[keyName], h.PAXRecords[keyRealSize] = h.Name, strconv.FormatInt(real, 10)
	dir, base := path.Split(h.Name)
	h.Name = path.Join(dir, "GNUSparseFile.0", base)
	var head bytes.Buffer
	if err := tar.NewWriter(&head).WriteHeader(h); err != nil {
		return nil, err
	}
	// The records are in the blocks between the first and the last.
	b := head.Bytes()
	renameKeys(b[BlockSize:len(b)-BlockSize], renamedPrefix, sparsePrefix)
	return b, nil
}

// renameKeys replaces the prefix from by to in the keys of a PAX header's records.
// It returns the value of the key "size", or "" if there is none.
func renameKeys(records []byte, from, to string) (size string) {
	eachRecord(records, func(key, value []byte) {
		if bytes.HasPrefix(key, []byte(from)) {
			copy(key, to)
		}
		if string(key) == "size" {
			size = string(value)
		}
	})
	return size
}

// eachRecord calls do with each record of a PAX header: "LENGTH KEY=VALUE\n".
// It stops at the first invalid one.
func eachRecord(records []byte, do func(key, value []byte)) {
	for len(records) > 0 {
		digits, _, ok := bytes.Cut(records, []byte(" "))
		n, err := strconv.Atoi(string(digits))
		if !ok || err != nil || n <= len(digits)+1 || n > len(records) || records[n-1] != '\n' {
			return
		}
		if key, value, ok := bytes.Cut(records[len(digits)+1:n-1], []byte("=")); ok {
			do(key, value)
		}
		records = records[n:]
	}
}

// A sparseFilter is a reader that passes on an archive. It renames the keys of
// sparse entries in the format 1.0, so that archive/tar returns the map and the
// data unchanged. It reads only the types and sizes of entries. An invalid header
// is passed on, and archive/tar reports it.
type sparseFilter struct {
	r    io.Reader
	out  []byte // returned by the next Read
	skip int64  // bytes of r that are then passed on unchanged
	size int64  // of the next entry, from its PAX header; -1 if it has none
	err  error
}

func newSparseFilter(r io.Reader) *sparseFilter { return &sparseFilter{r: r, size: -1} }

func (s *sparseFilter) Read(p []byte) (int, error) {
	for len(s.out) == 0 && len(p) > 0 {
		if s.err != nil {
			return 0, s.err
		}
		if s.skip > 0 {
			n, err := s.r.Read(p[:min(int64(len(p)), s.skip)])
			s.skip -= int64(n)
			return n, err
		}
		s.header()
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

// block reads n more bytes, appends them to out and returns them.
func (s *sparseFilter) block(n int64) []byte {
	start := len(s.out)
	s.out = append(s.out, make([]byte, n)...)
	got, err := io.ReadFull(s.r, s.out[start:])
	s.out = s.out[:start+got]
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	if s.err = err; err != nil {
		return nil
	}
	return s.out[start:]
}

// header reads one header block and finds the length of its body.
func (s *sparseFilter) header() {
	s.out = nil
	block := s.block(BlockSize)
	if block == nil || len(bytes.Trim(block, "\x00")) == 0 {
		return
	}
	kind, extended := block[156], block[482]
	size, ok := tarNumber(block[124:136])
	if !ok {
		s.skip = math.MaxInt64
		return
	}
	switch kind {
	case tar.TypeXHeader:
		if s.size = -1; size > 0 && size <= maxMap {
			s.records(size)
			return
		}
	case tar.TypeXGlobalHeader, tar.TypeGNULongName, tar.TypeGNULongLink:
	default:
		if s.size >= 0 {
			size = s.size
		}
		s.size = -1
		if slices.Contains([]byte{tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeDir, tar.TypeFifo}, kind) {
			size = 0
		}
		for kind == tar.TypeGNUSparse && extended != 0 {
			more := s.block(BlockSize)
			if more == nil {
				return
			}
			extended = more[504]
		}
	}
	s.skip = padded(size)
}

// records reads the records of a PAX header.
func (s *sparseFilter) records(size int64) {
	body := s.block(padded(size))
	if body == nil {
		return
	}
	major, minor := "", ""
	eachRecord(body[:size], func(key, value []byte) {
		switch string(key) {
		case sparsePrefix + "major":
			major = string(value)
		case sparsePrefix + "minor":
			minor = string(value)
		}
	})
	from := sparsePrefix
	if major != "1" || minor != "0" {
		from = renamedPrefix // archive/tar interprets older formats
	}
	if n, err := strconv.ParseInt(renameKeys(body[:size], from, renamedPrefix), 10, 64); err == nil && n >= 0 {
		s.size = n
	}
}

// padded returns size rounded up to whole blocks.
func padded(size int64) int64 {
	if size > math.MaxInt64-BlockSize {
		return size
	}
	return (size + BlockSize - 1) / BlockSize * BlockSize
}

// tarNumber reads a number of a header: octal digits, or binary as GNU tar writes
// large numbers. It returns false if the number is invalid or too large.
func tarNumber(b []byte) (int64, bool) {
	if b[0]&0x80 == 0 {
		text := strings.Trim(string(b), " \x00")
		if text == "" {
			return 0, true
		}
		n, err := strconv.ParseInt(text, 8, 64)
		return n, err == nil && n >= 0
	}
	n := int64(b[0] & 0x7f)
	for _, c := range b[1:] {
		if n > math.MaxInt64>>8 {
			return 0, false
		}
		n = n<<8 | int64(c)
	}
	return n, true
}

// revealSparse reports whether h is the header of a sparse entry, whose body
// begins with a map. If so it sets the name and size in h to those of the file.
func revealSparse(h *tar.Header) (bool, error) {
	if h.PAXRecords[keyMajor] != "1" || h.PAXRecords[keyMinor] != "0" {
		return false, nil
	}
	if h.Typeflag != tar.TypeReg {
		return false, badArchive("%q: only a file can have holes", h.Name)
	}
	size, err := strconv.ParseInt(h.PAXRecords[keyRealSize], 10, 64)
	if err != nil || size < 0 {
		return false, badArchive("%q: invalid size of a file with holes", h.Name)
	}
	h.Size = size
	if name := h.PAXRecords[keyName]; name != "" {
		h.Name = name
	}
	return true, nil
}

// readMap reads the map at the beginning of a sparse entry's body. size is the
// size of the file.
func readMap(body io.Reader, size int64) ([]extent, error) {
	var text []byte
	var block [BlockSize]byte
	for want := 1; bytes.Count(text, []byte("\n")) < want; {
		if len(text) > maxMap {
			return nil, badArchive("the map of its holes is too long")
		}
		if _, err := io.ReadFull(body, block[:]); err != nil {
			return nil, badArchive("the map of its holes is cut off")
		}
		text = append(text, block[:]...)
		if first, _, ok := bytes.Cut(text, []byte("\n")); ok && want == 1 {
			n, err := strconv.Atoi(string(first))
			if err != nil || n < 0 || n > maxMap {
				return nil, badArchive("the map of its holes is damaged")
			}
			want = 2*n + 1
		}
	}
	numbers := strings.Split(string(text), "\n")
	count, _ := strconv.Atoi(numbers[0])
	all := make([]extent, count)
	end := int64(0)
	for i := range all {
		at, err1 := strconv.ParseInt(numbers[1+2*i], 10, 64)
		n, err2 := strconv.ParseInt(numbers[2+2*i], 10, 64)
		if err1 != nil || err2 != nil || at < end || n < 0 || at > size || n > size-at {
			return nil, badArchive("the map of its holes is damaged")
		}
		all[i], end = extent{at, n}, at+n
	}
	return all, nil
}

// fillSparse writes the body of a sparse entry to the new file fd and sets its
// size.
func (u *unpacker) fillSparse(fd int, body io.Reader, size int64) error {
	all, err := readMap(body, size)
	if err != nil {
		return err
	}
	for _, e := range all {
		if _, err := unix.Seek(fd, e.at, io.SeekStart); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		n, err := u.copy(fd, io.LimitReader(body, e.size))
		if err != nil {
			return err
		}
		if n != e.size {
			return badArchive("it is cut off")
		}
	}
	if err := unix.Ftruncate(fd, size); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	u.size += size
	return nil
}
