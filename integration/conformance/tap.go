package main

import (
	"strconv"
	"strings"
)

// A verdict is what became of a test. The worse the greater.
type verdict int

const (
	passed verdict = iota
	skipped
	failed
	hung // there was none for so long that it was ended
)

func (v verdict) String() string {
	return [...]string{"passed", "skipped", "failed", "hung"}[v]
}

// A point is one line of the Test Anything Protocol, and what belongs to it.
type point struct {
	name    string
	verdict verdict
	detail  string // why it was skipped, else the lines of comment that follow it
}

// A tapParser reads TAP, version 12 or 13, line by line.
type tapParser struct {
	points  []point
	planned int // -1 until the plan is read
}

func newTAPParser() *tapParser { return &tapParser{planned: -1} }

// line reads one line, and reports whether it was a verdict. What is indented,
// a YAML block or a test's own output, is detail of the point before it.
func (p *tapParser) line(text string) bool {
	text = strings.TrimRight(text, "\r")
	if plan, ok := strings.CutPrefix(text, "1.."); ok {
		plan, _, _ = strings.Cut(plan, " ")
		if n, err := strconv.Atoi(plan); err == nil {
			p.planned = n
		}
		return false
	}
	rest, isPoint := strings.CutPrefix(text, "ok")
	v := passed
	if !isPoint {
		v = failed
		rest, isPoint = strings.CutPrefix(text, "not ok")
	}
	if isPoint && (rest == "" || rest[0] == ' ') {
		p.points = append(p.points, parsePoint(v, rest))
		return true
	}
	if n := len(p.points); n > 0 && (strings.HasPrefix(text, "#") || strings.HasPrefix(text, " ")) {
		last := &p.points[n-1]
		last.detail += strings.TrimPrefix(text, "# ") + "\n"
	}
	return false
}

// parsePoint reads what follows "ok" or "not ok": a number, a name, and a
// directive, of which SKIP overrules the verdict.
func parsePoint(v verdict, rest string) point {
	rest = strings.TrimSpace(rest)
	if number, name, _ := strings.Cut(rest, " "); isNumber(number) {
		rest = strings.TrimSpace(name)
	}
	rest = strings.TrimPrefix(rest, "- ")
	for i := strings.Index(rest, "#"); i >= 0; {
		directive := strings.TrimSpace(rest[i+1:])
		if len(directive) >= 4 && strings.EqualFold(directive[:4], "skip") {
			return point{
				name: strings.TrimSpace(rest[:i]), verdict: skipped,
				detail: strings.TrimSpace(directive[4:]),
			}
		}
		next := strings.Index(rest[i+1:], "#")
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return point{name: rest, verdict: v}
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}
