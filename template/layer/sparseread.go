package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

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
