package display

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text from a VPS is untrusted. It can hold sequences that control a terminal:
// they move the cursor, hide text, set the title, or make the terminal type an
// answer. All such text that croft prints goes through a Cleaner. Only exec,
// enter and console pass bytes on unchanged, for the terminal of a person inside.

// A Cleaner writes its input to w without the parts that control a terminal. It
// keeps text in UTF-8, newlines and tabs. It drops a carriage return before
// a newline and turns any other into a newline, so that nothing is overwritten.
// It drops whole escape sequences of ECMA-48 (CSI, OSC, DCS and the like).
// A sequence without an end stops at the end of its line. Bytes that are not
// UTF-8 become U+FFFD.
type cleaner struct {
	w     io.Writer
	rest  []byte // the beginning of a character
	state cleaning
	cr    bool // the last character was a carriage return
}

type cleaning int

const (
	plain        cleaning = iota
	sequence              // after ESC
	intermediate          // after ESC and an intermediate character
	control               // up to a final character
	quotation             // a string, up to its terminator
	quotedEscape          // in a string, after ESC
)

func NewCleaner(w io.Writer) *cleaner { return &cleaner{w: w} }

// Write takes all of p, unless w fails.
func (c *cleaner) Write(p []byte) (int, error) {
	text := append(c.rest, p...)
	c.rest = nil
	var out strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 && !utf8.FullRune(text) {
			c.rest = append([]byte(nil), text...)
			break
		}
		c.rune(&out, r)
		text = text[size:]
	}
	if _, err := io.WriteString(c.w, out.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// rune writes one character, if it is harmless.
func (c *cleaner) rune(out *strings.Builder, r rune) {
	if r == '\n' {
		c.state, c.cr = plain, false
		out.WriteByte('\n')
		return
	}
	if c.cr {
		c.cr = false
		out.WriteByte('\n')
	}
	switch c.state {
	case plain:
		c.plainRune(out, r)
	case sequence:
		c.state = afterEscape(r)
	case intermediate:
		if r < ' ' || r > '/' {
			c.state = plain
		}
	case control:
		if r < ' ' || r > '?' { // the final character, or none of a sequence's
			c.state = plain
		}
	case quotation:
		switch r {
		case 0x07, 0x9c:
			c.state = plain
		case 0x1b:
			c.state = quotedEscape
		}
	case quotedEscape:
		if c.state = quotation; r == '\\' {
			c.state = plain
		}
	}
}

func (c *cleaner) plainRune(out *strings.Builder, r rune) {
	switch {
	case r == 0x1b:
		c.state = sequence
	case r == 0x9b: // the 8-bit form of CSI
		c.state = control
	case r == 0x90, r == 0x98, r >= 0x9d && r <= 0x9f: // of DCS, SOS, OSC, PM and APC
		c.state = quotation
	case r == '\r':
		c.cr = true
	case r == '\t':
		out.WriteRune(r)
	case unicode.IsControl(r), reorders(r):
	default:
		out.WriteRune(r)
	}
}

// afterEscape returns the state after an ESC and r.
func afterEscape(r rune) cleaning {
	switch {
	case r == '[':
		return control
	case r == ']', r == 'P', r == 'X', r == '^', r == '_':
		return quotation
	case r >= ' ' && r <= '/':
		return intermediate
	case r == 0x1b:
		return sequence
	}
	return plain
}

// reorders reports whether r changes the direction of text (Unicode's
// bidirectional controls), which can make a line look like another.
func reorders(r rune) bool { return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 }

// clean returns text without characters and sequences that control a terminal.
func clean(text string) string {
	var out strings.Builder
	c := NewCleaner(&out)
	_, _ = io.WriteString(c, text) // a Builder does not fail
	if len(c.rest) > 0 {
		out.WriteRune(utf8.RuneError)
	}
	return out.String()
}

// OneLine returns text as one clean line.
func OneLine(text string) string {
	return strings.TrimSpace(strings.NewReplacer("\n", " ", "\t", " ").Replace(clean(text)))
}
