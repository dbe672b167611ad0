package layer

import (
	"archive/tar"
	"io"

	"croft/internal/fail"
)

// DefaultMaxSize is how many bytes an image that comes from elsewhere may
// unpack to unless the user says more.
const DefaultMaxSize = 64 << 30

// Unlimited is a MaxSize that refuses nothing.
const Unlimited = -1

// A Budget is what an image may still unpack to. Nil has no end.
type Budget struct {
	max   int64 // for what is said
	bytes int64 // of files, holes too
	files int64
	names int64 // bytes of names, which are kept in memory until the end
}

// sizePerFile is how many bytes of a budget allow one file: the files of a
// system are larger than that on average.
const sizePerFile = 16 << 10

// maxNames is how many bytes of names one image may have.
const maxNames = 512 << 20

// newBudget is the budget of an image of at most max bytes: 0 is
// DefaultMaxSize.
func NewBudget(max int64) *Budget {
	switch max {
	case Unlimited:
		return nil
	case 0:
		max = DefaultMaxSize
	}
	return &Budget{max: max, bytes: max, files: max/sizePerFile + 1000, names: maxNames}
}

// take takes the file that h announces off the budget, fail.Usage if there is
// no such file left in it.
func (b *Budget) take(h *tar.Header) error {
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
		return b.exceeded("it has more files than %d bytes are worth", b.max)
	case b.names < 0:
		return b.exceeded("the names of its files are longer than %d bytes", maxNames)
	}
	return nil
}

// has says why size more bytes are too many, or nil. It takes nothing off.
func (b *Budget) Has(size int64) error {
	if b == nil || size <= b.bytes {
		return nil
	}
	return b.exceeded("it has %d bytes, and %d may be", size, b.max)
}

func (b *Budget) exceeded(format string, args ...any) error {
	return fail.New(fail.Usage, "the image is too large: "+format, args...).WithHint("--max-size raises the limit; unlimited removes it")
}

// stream returns r, an archive, which ends with an error where it is longer
// than what the budget can pay for: the names and the padding of an archive
// are no files, and a few bytes of a compressed one can stand for terabytes.
func (b *Budget) Stream(r io.Reader) io.Reader {
	if b == nil {
		return r
	}
	return &bounded{r, b, 2*b.max + 64<<20}
}

type bounded struct {
	r    io.Reader
	b    *Budget
	left int64
}

func (l *bounded) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, l.b.exceeded("its archive goes on after %d bytes", 2*l.b.max)
	}
	return n, err
}
