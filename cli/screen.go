package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// A screen is stderr. It keeps whole lines and the line of progress apart,
// whoever writes.
type screen struct {
	mu    sync.Mutex
	w     io.Writer
	now   func() time.Time
	width int // of the terminal; 0 if it is none: then progress is plain lines

	drawn bool // the last line is one of progress
	step  string
	begun time.Time // when step began
	shown time.Time // when it was last shown
	told  bool      // something was said of it
}

func newScreen(f *os.File, getenv func(string) string, now func() time.Time) *screen {
	s := &screen{w: f, now: now}
	if kind := getenv("TERM"); kind != "" && kind != "dumb" && term.IsTerminal(int(f.Fd())) {
		s.width = 80
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			s.width = w
		}
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
	if s.drawn {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.drawn = false
	}
}

// A stage is a step of long work, as the runtime's Progress tells it.
type stage = struct {
	Step  string // what is being done, a few words
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
	if u.Step != s.step || !s.told {
		s.step, s.begun, s.shown, s.told = u.Step, now, time.Time{}, true
	}
	every := repeatEvery
	if s.width > 0 {
		every = redrawEvery
	}
	last := u.Total > 0 && u.Done >= u.Total && s.width > 0
	if !s.shown.IsZero() && now.Sub(s.shown) < every && !last {
		return
	}
	text := oneLine(progressText(u, now.Sub(s.begun)))
	s.shown = now
	if s.width == 0 {
		s.put(text)
		return
	}
	s.erase()
	fmt.Fprint(s.w, shorten("croft: "+text, s.width-1))
	s.drawn = true
}

// progressText says how far u is that began so long ago, at which rate, and
// how long the rest will take at that.
func progressText(u stage, since time.Duration) string {
	parts := []string{u.Step}
	percent := u.Total == 100 // hundredths, not bytes
	switch {
	case u.Total > 0:
		parts = append(parts, fmt.Sprintf("%d%%", min(100, 100*u.Done/u.Total)))
	case u.Done > 0:
		parts = append(parts, sizeText(u.Done))
	}
	if since < time.Second || u.Done <= 0 {
		return strings.Join(parts, " ")
	}
	rate := float64(u.Done) / since.Seconds()
	if !percent {
		parts = append(parts, sizeText(int64(rate))+"/s")
	}
	if u.Total > u.Done {
		left := time.Duration(float64(u.Total-u.Done) / rate * float64(time.Second))
		parts = append(parts, left.Round(time.Second).String()+" left")
	}
	return strings.Join(parts, " ")
}

// shorten cuts text to what fits.
func shorten(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:max(0, width-1)]) + "…"
}
