// Package display is the output of commands: lines and progress on stderr,
// tables, JSON, CSV and templates. It removes from untrusted text everything
// that controls a terminal.
package display

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"croft/internal/sizes"
)

// A Screen is stderr. It keeps whole lines and the lines of progress apart. It
// may be used by several goroutines.
type Screen struct {
	mu    sync.Mutex
	w     io.Writer
	now   func() time.Time
	Width int // of the terminal; 0 if it is not a terminal: then progress is plain lines

	drawn int    // number of lines of progress at the end
	bars  []*bar // of the current step
}

// A bar shows how far one part of a step is.
type bar struct {
	Stage
	began time.Time
	from  int64     // Done at the beginning
	shown time.Time // the last time
}

// OnTerminal reports whether the screen is a terminal.
func (s *Screen) OnTerminal() bool { return s.Width > 0 }

func NewScreen(f *os.File, getenv func(string) string, now func() time.Time) *Screen {
	s := &Screen{w: f, now: now}
	if kind := getenv("TERM"); kind != "" && kind != "dumb" {
		s.Width = TerminalWidth(f)
	}
	return s
}

// Line writes one line.
func (s *Screen) Line(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(text)
}

func (s *Screen) put(text string) {
	s.erase()
	fmt.Fprintf(s.w, "croft: %s\n", OneLine(text))
}

// Warn writes a warning.
func (s *Screen) Warn(text string) { s.Line("warning: " + text) }

// A lineLog is a writer of whole lines to a screen.
type lineLog struct {
	screen *Screen
	prefix string
}

// Log returns a writer that begins each line with prefix.
func (s *Screen) Log(prefix string) io.Writer { return lineLog{s, prefix} }

func (l lineLog) Write(p []byte) (int, error) {
	l.screen.mu.Lock()
	defer l.screen.mu.Unlock()
	for line := range bytes.Lines(p) {
		l.screen.put(l.prefix + string(line))
	}
	return len(p), nil
}

// Clear removes the lines of progress.
func (s *Screen) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
}

func (s *Screen) erase() {
	for ; s.drawn > 0; s.drawn-- {
		fmt.Fprint(s.w, "\r\x1b[K")
		if s.drawn > 1 {
			fmt.Fprint(s.w, "\x1b[A")
		}
	}
}

// A Stage is a step of long work.
type Stage struct {
	Step  string // a few words
	Part  string // one of several things at the same time; "" is the whole step
	Done  int64  // bytes, or hundredths if Total is 100
	Total int64  // 0 is unknown
}

// How often progress is shown: on a terminal, and elsewhere, where it may become
// a log.
const (
	redrawEvery = 100 * time.Millisecond
	repeatEvery = 30 * time.Second
)

// Progress shows how far long work is.
func (s *Screen) Progress(u Stage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	b := s.bar(u, now)
	b.Stage = u
	every := repeatEvery
	if s.Width > 0 {
		every = redrawEvery
	}
	ended := u.Total > 0 && u.Done >= u.Total
	if !b.shown.IsZero() && now.Sub(b.shown) < every && (!ended || s.Width == 0) {
		return
	}
	b.shown = now
	if s.Width == 0 {
		s.put(b.text(now, 0))
		return
	}
	if ended && u.Part != "" {
		s.bars = slices.DeleteFunc(s.bars, func(o *bar) bool { return o == b })
	}
	s.erase()
	s.draw(now)
}

// bar returns the bar of u. A new step ends the bars of the step before.
func (s *Screen) bar(u Stage, now time.Time) *bar {
	if len(s.bars) > 0 && (s.bars[0].Step != u.Step || (s.bars[0].Part == "") != (u.Part == "")) {
		s.bars = nil
	}
	for _, b := range s.bars {
		if b.Part == u.Part {
			return b
		}
	}
	b := &bar{began: now, from: u.Done}
	s.bars = append(s.bars, b)
	return b
}

// minForBar is the narrowest terminal with room for a bar.
const minForBar = 60

func (s *Screen) draw(now time.Time) {
	for i, b := range s.bars {
		if i > 0 {
			fmt.Fprint(s.w, "\n")
		}
		fmt.Fprint(s.w, cut("croft: "+b.text(now, s.Width), s.Width-1))
	}
	s.drawn = len(s.bars)
}

// text returns how far b is, at which rate, and how long the rest takes at
// that. On a terminal of that width one of several has a bar.
func (b *bar) text(now time.Time, width int) string {
	parts := []string{b.Step}
	if b.Part != "" {
		parts[0] = b.Part
	}
	since := now.Sub(b.began)
	percent := b.Total == 100 // hundredths, not bytes
	switch {
	case b.Total > 0:
		done := min(100, 100*b.Done/b.Total)
		if b.Part != "" && width >= minForBar {
			parts = append(parts, "["+strings.Repeat("#", int(done/5))+strings.Repeat(" ", int(20-done/5))+"]")
		}
		parts = append(parts, fmt.Sprintf("%d%%", done))
	case b.Done > 0:
		parts = append(parts, sizes.Text(b.Done))
	}
	if since < time.Second || b.Done <= b.from {
		return OneLine(strings.Join(parts, " "))
	}
	rate := float64(b.Done-b.from) / since.Seconds()
	if !percent {
		parts = append(parts, sizes.Text(int64(rate))+"/s")
	}
	if b.Total > b.Done {
		left := time.Duration(float64(b.Total-b.Done) / rate * float64(time.Second))
		parts = append(parts, left.Round(time.Second).String()+" left")
	}
	return OneLine(strings.Join(parts, " "))
}
