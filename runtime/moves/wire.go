package moves

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"croft/internal/fail"
)

// Protocol is the version of what two hosts say to each other. A host refuses another
// one. It grows with each change that the other host must know.
const Protocol = 3

// greeting is the first line of a target. Before it a login shell may print something.
const greeting = "croft: move protocol 1"

// The kinds of frames. Each has a length of 4 bytes, big endian, and so many bytes.
const (
	frameMessage = 'm' // JSON
	frameData    = 'd'
	frameEnd     = 'e' // of data
)

const (
	maxMessage = 16 << 20
	maxData    = 1 << 20
	maxNoise   = 1 << 16 // bytes before the greeting
)

// A Wire is one end of a connection. Its methods are for one goroutine.
type Wire struct {
	r *bufio.Reader
	w *bufio.Writer
}

// NewWire returns the end that reads r and writes w.
func NewWire(r io.Reader, w io.Writer) *Wire {
	return &Wire{r: bufio.NewReaderSize(r, 1<<16), w: bufio.NewWriterSize(w, 1<<16)}
}

// Greet begins the conversation, as the target.
func (w *Wire) Greet() error {
	_, err := fmt.Fprintln(w.w, greeting)
	if err == nil {
		err = w.w.Flush()
	}
	return err
}

// AwaitGreeting begins the conversation, as the source. It is io.EOF if the other end
// closes before it has greeted, and fail.Host if it says something else.
func (w *Wire) AwaitGreeting() error {
	for left := maxNoise; left > 0; {
		line, err := w.r.ReadSlice('\n')
		if err == nil && string(bytes.TrimRight(line, "\r\n")) == greeting {
			return nil
		}
		if err != nil && err != bufio.ErrBufferFull {
			return err
		}
		left -= len(line)
	}
	return fail.New(fail.Host, "the other host does not answer as croft does; it may print something at each login")
}

// Send sends a message.
func (w *Wire) Send(message any) error {
	b, err := json.Marshal(message)
	if err == nil {
		err = w.frame(frameMessage, b)
	}
	if err == nil {
		err = w.w.Flush()
	}
	return err
}

func (w *Wire) frame(kind byte, b []byte) error {
	head := [5]byte{kind}
	binary.BigEndian.PutUint32(head[1:], uint32(len(b)))
	if _, err := w.w.Write(head[:]); err != nil {
		return err
	}
	_, err := w.w.Write(b)
	return err
}

// head reads the beginning of a frame. It is io.EOF at the end of the conversation.
func (w *Wire) head() (kind byte, size int, err error) {
	var head [5]byte
	if _, err := io.ReadFull(w.r, head[:]); err != nil {
		return 0, 0, err
	}
	return head[0], int(binary.BigEndian.Uint32(head[1:])), nil
}

// Receive reads a message. It is io.EOF if the other end has closed the connection.
func (w *Wire) Receive(message any) error {
	kind, size, err := w.head()
	if err != nil {
		return err
	}
	if kind != frameMessage || size > maxMessage {
		return fail.New(fail.Host, "the other host sends something else than a message")
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(w.r, b); err != nil {
		return err
	}
	if err := json.Unmarshal(b, message); err != nil {
		return fail.New(fail.Host, "the other host sends a message that this croft does not know: %w", err)
	}
	return nil
}

// Data returns a writer whose bytes the other end gets by Reader, up to its Close.
func (w *Wire) Data() io.WriteCloser { return dataWriter{w} }

type dataWriter struct{ *Wire }

func (d dataWriter) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		part := p[n:min(len(p), n+maxData)]
		if err := d.frame(frameData, part); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

func (d dataWriter) Close() error {
	if err := d.frame(frameEnd, nil); err != nil {
		return err
	}
	return d.w.Flush()
}

// Reader returns a reader of what the other end writes to Data, up to its Close. A
// connection that ends before is io.ErrUnexpectedEOF.
func (w *Wire) Reader() io.Reader { return &dataReader{wire: w} }

type dataReader struct {
	wire *Wire
	left int
	err  error
}

func (d *dataReader) Read(p []byte) (int, error) {
	for d.left == 0 && d.err == nil {
		d.next()
	}
	if d.err != nil {
		return 0, d.err
	}
	n, err := d.wire.r.Read(p[:min(len(p), d.left)])
	d.left -= n
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	d.err = err
	return n, err
}

// next begins the next frame.
func (d *dataReader) next() {
	kind, size, err := d.wire.head()
	switch {
	case err == io.EOF:
		d.err = io.ErrUnexpectedEOF
	case err != nil:
		d.err = err
	case kind == frameEnd && size == 0:
		d.err = io.EOF
	case kind != frameData || size > maxData:
		d.err = fail.New(fail.Host, "the other host sends something else than data")
	default:
		d.left = size
	}
}
