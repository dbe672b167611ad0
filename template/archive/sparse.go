package archive

import (
	"errors"
	"io"
	"os"
)

// sparseBlock is the unit of holes, in bytes.
const sparseBlock = 64 << 10

// CopySparse copies r to the new file f, and leaves holes where it has only zeros. An image
// of a disk is mostly zeros.
func CopySparse(f *os.File, r io.Reader) error {
	block, zeros := make([]byte, sparseBlock), make([]byte, sparseBlock)
	for size := int64(0); ; {
		n, err := io.ReadFull(r, block)
		if n > 0 {
			if string(block[:n]) != string(zeros[:n]) {
				if _, err := f.WriteAt(block[:n], size); err != nil {
					return err
				}
			}
			size += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return f.Truncate(size)
		case err != nil:
			return err
		}
	}
}
