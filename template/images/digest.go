package images

import (
	"crypto/sha256"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"
)

// A DigestWriter passes on written data, and takes their digest and size.
type DigestWriter struct {
	w    io.Writer
	hash hash.Hash
	size int64
}

// NewDigestWriter returns a writer into w.
func NewDigestWriter(w io.Writer) *DigestWriter { return &DigestWriter{w: w, hash: sha256.New()} }

// Write writes p.
func (h *DigestWriter) Write(p []byte) (int, error) {
	n, err := h.w.Write(p)
	h.hash.Write(p[:n])
	h.size += int64(n)
	return n, err
}

// Digest returns the digest of what was written.
func (h *DigestWriter) Digest() digest.Digest { return Sum(h.hash) }

// Size returns how many bytes were written.
func (h *DigestWriter) Size() int64 { return h.size }

// Sum returns the digest that h, a SHA-256, has now.
func Sum(h hash.Hash) digest.Digest { return digest.NewDigest(digest.SHA256, h) }

// A Tee is io.TeeReader, but keeps an error of the writer in WriteErr.
type Tee struct {
	R        io.Reader
	W        io.Writer
	WriteErr error
}

// Read reads from R and writes what it has read to W.
func (t *Tee) Read(p []byte) (int, error) {
	n, err := t.R.Read(p)
	if n > 0 {
		if _, werr := t.W.Write(p[:n]); werr != nil {
			t.WriteErr = werr
			return n, werr
		}
	}
	return n, err
}
