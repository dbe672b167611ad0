package images

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"hash"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/template/layer"
)

// A blobWriter compresses a tar into a file. It takes the digests of the tar and of
// the file.
type blobWriter struct {
	file     *os.File
	buffered *bufio.Writer
	zip      *zstd.Encoder
	tar, out hash.Hash
	size     int64
}

func newBlobWriter(name string) (*blobWriter, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, layer.HostError(err)
	}
	w := &blobWriter{file: f, buffered: bufio.NewWriterSize(f, 1<<18), tar: sha256.New(), out: sha256.New()}
	// With one goroutine the same tar gives the same blob.
	w.zip, err = zstd.NewWriter(compressed{w}, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1))
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("start the compressor: %w", err)
	}
	return w, nil
}

func (w *blobWriter) Write(p []byte) (int, error) {
	w.tar.Write(p)
	return w.zip.Write(p)
}

// compressed receives the output of a blobWriter's compressor.
type compressed struct{ w *blobWriter }

func (c compressed) Write(p []byte) (int, error) {
	n, err := c.w.buffered.Write(p)
	c.w.out.Write(p[:n])
	c.w.size += int64(n)
	return n, err
}

func (w *blobWriter) diffID() digest.Digest { return Sum(w.tar) }

// finish writes the rest, closes the file and returns its descriptor.
func (w *blobWriter) finish() (oci.Descriptor, error) {
	err := w.zip.Close()
	if err == nil {
		err = w.buffered.Flush()
	}
	if err == nil {
		err = w.file.Close()
	}
	if err != nil {
		return oci.Descriptor{}, layer.HostError(fmt.Errorf("write a layer: %w", err))
	}
	return oci.Descriptor{MediaType: oci.MediaTypeImageLayerZstd, Digest: Sum(w.out), Size: w.size}, nil
}

// close closes the file. No-op after finish.
func (w *blobWriter) close() {
	w.zip.Close()
	w.file.Close()
}
