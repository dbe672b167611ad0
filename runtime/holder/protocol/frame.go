package protocol

// A console client sends frames. The holder sends back the plain output of the
// VPS. A frame begins with a byte that names its kind:
//
// 'd'  length (2 bytes, big endian), then that many bytes of input 'w'  rows,
// columns (2 bytes each, big endian): the size of the client's window
const (
	FrameData = 'd'
	FrameSize = 'w'
)

// MaxData is the most that one data frame carries.
const MaxData = 0xffff

// AppendData appends p to frames, in as many data frames as it takes.
func AppendData(frames, p []byte) []byte {
	for len(p) > 0 {
		n := min(len(p), MaxData)
		frames = append(frames, FrameData, byte(n>>8), byte(n))
		frames = append(frames, p[:n]...)
		p = p[n:]
	}
	return frames
}

// AppendSize appends the frame that says how large the client's window is.
func AppendSize(frames []byte, rows, cols uint16) []byte {
	return append(frames, FrameSize, byte(rows>>8), byte(rows), byte(cols>>8), byte(cols))
}

// A Decoder takes a stream of frames apart, in pieces of any size.
type Decoder struct {
	head [5]byte
	n    int // bytes of head that are there
	left int // bytes of data that the frame still has
}

// A Piece is the next thing in a stream of frames: some bytes typed, or a
// window size, or neither if there is not enough of the stream yet.
type Piece struct {
	Data       []byte
	Resize     bool
	Rows, Cols uint16
}

// Next decodes the next piece of p and returns how many bytes of p it used.
// Data is a part of p. If p is not a stream of frames it returns an error, and
// the rest of the stream cannot be decoded.
func (d *Decoder) Next(p []byte) (piece Piece, used int, err error) {
	for used < len(p) {
		if d.left > 0 {
			n := min(d.left, len(p)-used)
			d.left -= n
			return Piece{Data: p[used : used+n]}, used + n, nil
		}
		d.head[d.n] = p[used]
		d.n++
		used++
		switch {
		case d.head[0] != FrameData && d.head[0] != FrameSize:
			return Piece{}, used, Error("not a frame of the console")
		case d.head[0] == FrameData && d.n == 3:
			d.left, d.n = int(d.head[1])<<8|int(d.head[2]), 0
		case d.head[0] == FrameSize && d.n == 5:
			d.n = 0
			return Piece{
				Resize: true,
				Rows:   uint16(d.head[1])<<8 | uint16(d.head[2]),
				Cols:   uint16(d.head[3])<<8 | uint16(d.head[4]),
			}, used, nil
		}
	}
	return Piece{}, used, nil
}

// Unread gives back the last n bytes of the data piece that Next returned
// last, so that Next returns them again.
func (d *Decoder) Unread(n int) { d.left += n }
