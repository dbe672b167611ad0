package layer

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxWindow limits the memory for decompressing a zstd stream, in bytes. It is
// enough for streams of zstd --long, and an untrusted stream cannot exhaust the
// host.
const maxWindow = 128 << 20

// Decompress returns a reader of the decompressed content of r. The first bytes
// tell the compression: gzip, bzip2, xz, zstd or none. ArchiveFailure classifies
// an invalid stream as fail.Usage. Closing the reader does not close r.
func Decompress(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, 1<<18)
	magic, err := b.Peek(6)
	if err != nil && err != io.EOF {
		return nil, err
	}
	var plain io.Reader = b
	closed := func() {}
	switch {
	case len(magic) == 0:
		return nil, badArchive("it is empty")
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		plain, err = gzip.NewReader(b)
	case bytes.HasPrefix(magic, []byte("BZh")):
		plain, err = bzip2.NewReader(b), nil
	case bytes.HasPrefix(magic, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		plain, err = xz.NewReader(b)
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		var z *zstd.Decoder
		if z, err = zstd.NewReader(b, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1)); err == nil {
			plain, closed = z, z.Close
		}
	default:
		err = nil
	}
	if err != nil {
		return nil, &archiveError{err}
	}
	return &decompressed{plain, closed}, nil
}

type decompressed struct {
	r      io.Reader
	closed func()
}

func (d *decompressed) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if err != nil && err != io.EOF {
		err = &archiveError{err}
	}
	return n, err
}

func (d *decompressed) Close() error {
	d.closed()
	return nil
}

// NopCloser returns a writer into w whose Close does nothing.
func NopCloser(w io.Writer) io.WriteCloser { return nopCloser{w} }

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
