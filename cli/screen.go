package cli

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

// A screen is stderr. It keeps whole lines and the line of progress apart,
// whoever writes.
type screen struct {
	mu    sync.Mutex
	w     io.Writer
	now   func() time.Time
	width int // of the terminal; 0 if it is none: then progress is plain lines

	drawn int    // how many of the last lines are of progress
	bars  []*bar // what is under way
}

// A bar is how far one thing is.
type bar struct {
	stage
	began time.Time
	from  int64     // what was done already when it began
	shown time.Time // when it was last shown
}

func newScreen(f *os.File, getenv func(string) string, now func() time.Time) *screen {
	s := &screen{w: f, now: now}
	if kind := getenv("TERM"); kind != "" && kind != "dumb" {
		s.width = terminalWidth(f)
	}
	return s
}

// line writes one line.
func (s *screen) line(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(text)
}

func (s *screen) put(text string) {
	s.erase()
	fmt.Fprintf(s.w, "croft: %s\n", oneLine(text))
}

// warn writes a line that a person should know of and that is no failure.
func (s *screen) warn(text string) { s.line("warning: " + text) }

// A lineLog is a writer of whole lines to a screen.
type lineLog struct {
	screen *screen
	prefix string
}

// log returns a writer for lines that each begin with prefix.
func (s *screen) log(prefix string) io.Writer { return lineLog{s, prefix} }

func (l lineLog) Write(p []byte) (int, error) {
	l.screen.mu.Lock()
	defer l.screen.mu.Unlock()
	for line := range bytes.Lines(p) {
		l.screen.put(l.prefix + string(line))
	}
	return len(p), nil
}

// clear removes the line of progress.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
}

func (s *screen) erase() {
	for ; s.drawn > 0; s.drawn-- {
		fmt.Fprint(s.w, "\r\x1b[K")
		if s.drawn > 1 {
			fmt.Fprint(s.w, "\x1b[A")
		}
	}
}

// A stage is a step of long work, as the runtime's Progress tells it.
type stage = struct {
	Step  string // what is being done, a few words
	Part  string // which of several things that are done at once; "" is the step as a whole
	Done  int64  // bytes, or hundredths where Total is 100
	Total int64  // 0 is unknown
}

// showProgress makes *to show stages on s. The type of a stage belongs to a
// package that the command line does not know; its fields are all it needs.
func showProgress[P ~func(U), U ~stage](s *screen, to *P) {
	*to = func(u U) { s.progress(stage(u)) }
}

// How often progress is shown: as often as one can read it on a terminal, as
// often as one wants it in a log elsewhere.
const (
	redrawEvery = 100 * time.Millisecond
	repeatEvery = 30 * time.Second
)

// progress shows how far long work is.
func (s *screen) progress(u stage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	b := s.bar(u, now)
	b.stage = u
	every := repeatEvery
	if s.width > 0 {
		every = redrawEvery
	}
	ended := u.Total > 0 && u.Done >= u.Total
	if !b.shown.IsZero() && now.Sub(b.shown) < every && (!ended || s.width == 0) {
		return
	}
	b.shown = now
	if s.width == 0 {
		s.put(b.text(now, 0))
		return
	}
	if ended && u.Part != "" {
		s.bars = slices.DeleteFunc(s.bars, func(o *bar) bool { return o == b })
	}
	s.erase()
	s.draw(now)
}

// bar returns the bar of u. A new step ends those of the one before.
func (s *screen) bar(u stage, now time.Time) *bar {
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

// minForBar is how wide a terminal is that has room for a bar.
const minForBar = 60

func (s *screen) draw(now time.Time) {
	for i, b := range s.bars {
		if i > 0 {
			fmt.Fprint(s.w, "\n")
		}
		fmt.Fprint(s.w, cut("croft: "+b.text(now, s.width), s.width-1))
	}
	s.drawn = len(s.bars)
}

// text says how far b is, at which rate, and how long the rest will take at
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
		return oneLine(strings.Join(parts, " "))
	}
	rate := float64(b.Done-b.from) / since.Seconds()
	if !percent {
		parts = append(parts, sizes.Text(int64(rate))+"/s")
	}
	if b.Total > b.Done {
		left := time.Duration(float64(b.Total-b.Done) / rate * float64(time.Second))
		parts = append(parts, left.Round(time.Second).String()+" left")
	}
	return oneLine(strings.Join(parts, " "))
}
