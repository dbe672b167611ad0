package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"croft/internal/fail"
)

// StallAfter is how long a download may receive nothing.
const StallAfter = time.Minute

// ErrStalled ends a download that receives nothing, although its connection is open.
var ErrStalled = errors.New("the server stopped sending")

// A Part is the rest of a file from an offset on.
type Part struct {
	Subject string        // in errors
	Offset  int64         // of its first byte
	Size    int64         // of the whole file
	Stall   time.Duration // how long it may receive nothing: StallAfter
}

// Get starts a download of the part. get sends a request with the header and returns the
// response; a status that is neither 200 nor 206 is an error of get. Get returns the offset at
// which the content really begins: 0 if the server does not support ranges. The caller closes
// the reader. A connection that breaks, or that sends nothing for p.Stall, is an error of Read.
func (p Part) Get(ctx context.Context, get func(ctx context.Context, header http.Header) (*http.Response, error)) (io.ReadCloser, int64, error) {
	header := http.Header{"Accept-Encoding": {"identity"}} // the digest is that of the file as it is stored
	if p.Offset > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", p.Offset, p.Size-1))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	resp, err := get(ctx, header)
	if err != nil {
		cancel(nil)
		return nil, 0, err
	}
	begin := p.Offset
	if resp.StatusCode == http.StatusOK {
		begin = 0
	} else if got := resp.Header.Get("Content-Range"); !strings.HasPrefix(got, fmt.Sprintf("bytes %d-", begin)) {
		resp.Body.Close()
		cancel(nil)
		return nil, 0, fail.New(fail.Usage, "%s: the server sent the range %q instead of bytes from %d on", p.Subject, got, begin)
	}
	watch := time.AfterFunc(p.Stall, func() { cancel(ErrStalled) })
	return &watchedBody{resp.Body, watch, p.Stall, cancel}, begin, nil
}

// A watchedBody is the body of a response. It cancels its request when nothing is
// received for the time stall.
type watchedBody struct {
	io.ReadCloser
	watch  *time.Timer
	stall  time.Duration
	cancel context.CancelCauseFunc
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.watch.Reset(b.stall)
	return n, err
}

func (b *watchedBody) Close() error {
	b.watch.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}
