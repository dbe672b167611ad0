package images

import (
	"errors"
	"io"

	oci "github.com/opencontainers/image-spec/specs-go/v1"
)

// Counted returns a writer that adds the bytes written to it to done, and reports the
// progress of step. total is 0 if it is unknown.
func (s *Store) Counted(step string, done *int64, total int64) io.Writer {
	return &reported{store: s, step: step, done: done, total: total}
}

type reported struct {
	store       *Store
	step        string
	done        *int64
	total, said int64
}

func (r *reported) Write(p []byte) (int, error) {
	*r.done += int64(len(p))
	if *r.done-r.said >= 1<<20 {
		r.said = *r.done
		r.store.Report(Update{Step: r.step, Done: *r.done, Total: r.total})
	}
	return len(p), nil
}

// PartProgress returns a function that reports the progress of the blob d, one of
// several at the same time. act is "pulling" or "pushing".
func (s *Store) PartProgress(act string, d oci.Descriptor) func(done int64) {
	name := act + " " + d.Digest.Encoded()[:12]
	return func(done int64) {
		s.progressMu.Lock()
		defer s.progressMu.Unlock()
		s.Report(Update{Step: act, Part: name, Done: done, Total: d.Size})
	}
}

// CountedReader returns a reader of r that reports the progress of step.
func (s *Store) CountedReader(step string, r io.Reader) io.Reader {
	return &counting{r: r, step: step, to: s.Report}
}

// counting reports to a Progress how much has been read.
type counting struct {
	r        io.Reader
	step     string
	to       Progress
	done     int64
	reported int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	if c.done-c.reported >= 1<<20 || errors.Is(err, io.EOF) {
		c.reported = c.done
		c.to(Update{Step: c.step, Done: c.done})
	}
	return n, err
}

// A Progress receives reports of a long operation. Only one goroutine calls it at a
// time.
type Progress func(Update)

// An Update is a report of a long operation.
type Update struct {
	Step  string // a few words, for example "cleaning up"
	Part  string // one of several parallel transfers; "" is the step as a whole
	Done  int64  // bytes, or percent if Total is 100
	Total int64  // 0 is unknown
}

// Report gives the user a report of a long operation.
func (s *Store) Report(u Update) {
	if s.o.Progress != nil {
		s.o.Progress(u)
	}
}
