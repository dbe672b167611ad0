package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"

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
	if p.sum != nil {
		p.sum.Write(body)
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
