package firstboot

import (
	"bytes"
	"os"
	"strings"
)

// How much of the output is kept: at its end for the record, and altogether in the
// console log.
const (
	tailBytes = 4 << 10
	tailLines = 20
	logBytes  = 4 << 20
)

// Output takes the output of a script: it appends it to the console log at Log, and
// keeps the end of it. What cannot be logged is lost.
type Output struct {
	Log    string
	tail   []byte
	logged int
}

// Write always takes all of p.
func (o *Output) Write(p []byte) (int, error) {
	o.tail = append(o.tail, p...)
	if more := len(o.tail) - tailBytes; more > 0 {
		o.tail = append([]byte(nil), o.tail[more:]...)
	}
	if o.logged >= logBytes {
		return len(p), nil
	}
	text := bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n")) // as from a terminal
	if o.logged += len(p); o.logged >= logBytes {
		text = append(text, "\r\n[croft: the rest of the output of the first-boot script is left out]\r\n"...)
	}
	// Opened each time: the holder sets the file aside when it is large.
	f, err := os.OpenFile(o.Log, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return len(p), nil
	}
	_, _ = f.Write(text)
	f.Close()
	return len(p), nil
}

// Tail returns the last lines.
func (o *Output) Tail() string {
	lines := strings.Split(strings.TrimRight(strings.ToValidUTF8(string(o.tail), "\uFFFD"), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
