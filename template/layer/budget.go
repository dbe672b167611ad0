package layer

import (
	"archive/tar"
	"io"

	"croft/internal/fail"
)

// defaultMaxSize is the default limit for an imported or pulled image: bytes
// after unpacking.
const defaultMaxSize = 64 << 30

// Unlimited is the limit of NewBudget that allows any size.
const Unlimited = -1

// A Budget holds how much an image may still unpack to. All layers of an image
// share one. A nil Budget has no limit.
type Budget struct {
	max   int64 // for messages
	bytes int64 // of files, including holes
	files int64
	names int64 // bytes of names: Unpack keeps names in memory until its end
}

// sizePerFile is how many bytes of the limit allow one file. The average file of
// a system is larger.
const sizePerFile = 16 << 10

// maxNames is how many bytes the names of one image may have in total.
const maxNames = 512 << 20

// NewBudget returns the budget of an image that unpacks to at most max bytes.
// 0 is defaultMaxSize.
func NewBudget(max int64) *Budget {
	switch max {
	case Unlimited:
		return nil
	case 0:
		max = defaultMaxSize
	}
	return &Budget{max: max, bytes: max, files: max/sizePerFile + 1000, names: maxNames}
}

// spend subtracts the file with the header h from the budget. It is fail.Usage
// if the budget is too small for it.
func (b *Budget) spend(h *tar.Header) error {
	if b == nil {
		return nil
	}
	size := h.Size
	if h.Typeflag == tar.TypeLink || h.Typeflag == tar.TypeSymlink {
		size = 0
	}
	b.bytes, b.files, b.names = b.bytes-size, b.files-1, b.names-int64(len(h.Name))
	switch {
	case b.bytes < 0 || size < 0:
		return b.exceeded("it unpacks to more than %d bytes", b.max)
	case b.files < 0:
		return b.exceeded("it has too many files for a limit of %d bytes", b.max)
	case b.names < 0:
		return b.exceeded("the names of its files are longer than %d bytes", maxNames)
	}
	return nil
}

// Check returns fail.Usage if the budget has fewer than size bytes left. It
// does not change the budget.
func (b *Budget) Check(size int64) error {
	if b == nil || size <= b.bytes {
		return nil
	}
	return b.exceeded("it has %d bytes, and the limit is %d", size, b.max)
}

// CheckStream returns fail.Usage if Stream would not let an archive of size bytes pass.
func (b *Budget) CheckStream(size int64) error {
	if b == nil || size <= b.longest() {
		return nil
	}
	return b.exceeded("its archive has %d bytes, and the limit is %d", size, b.longest())
}

// longest is the limit of an archive in bytes. The budget does not count padding and headers,
// and a few compressed bytes can expand to terabytes of them.
func (b *Budget) longest() int64 { return 2*b.max + 64<<20 }

func (b *Budget) exceeded(format string, args ...any) error {
	return fail.New(fail.Usage, "the image is too large: "+format, args...).WithHint("--max-size raises the limit; unlimited removes it")
}

// Stream returns a reader of the archive r that fails with fail.Usage after
// 2 * max + 64 MiB.
func (b *Budget) Stream(r io.Reader) io.Reader {
	if b == nil {
		return r
	}
	return &bounded{r, b, b.longest()}
}

type bounded struct {
	r    io.Reader
	b    *Budget
	left int64
}

func (l *bounded) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, l.b.exceeded("its archive is longer than %d bytes", 2*l.b.max)
	}
	return n, err
}
