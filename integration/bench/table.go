package main

import (
	"fmt"
	"strings"
	"time"
)

// columns is how wide a table may be.
const columns = 80

// table returns a comparison as lines of text, each at most 80 columns wide.
func (c comparison) table() string {
	var b strings.Builder
	for _, line := range wrap(c.Row+": "+c.What, columns) {
		fmt.Fprintln(&b, line)
	}
	for i, o := range c.Outcomes {
		peer := o.Peer
		for _, m := range measures {
			s, ok := m.spread(o.Samples)
			if !ok {
				continue
			}
			line := fmt.Sprintf("  %-27s %-5s %9s %20s", shorten(peer, 27), m.name, m.text(s.Median), m.text(s.Min)+" - "+m.text(s.Max))
			if i > 0 {
				if r, ok := m.ratio(c.Outcomes[0].Samples, o.Samples); ok {
					line += fmt.Sprintf(" %6s", number(r.Median))
					if c.Target > 0 && i == 1 && m.name != "CPU" {
						line += fmt.Sprintf(" %5s", "<"+number(c.Target))
					}
				}
			}
			fmt.Fprintln(&b, strings.TrimRight(line, " "))
			peer = ""
		}
		if o.Error != "" {
			for _, line := range wrap(o.Peer+": "+o.Error, columns-4) {
				fmt.Fprintln(&b, "  ! "+line)
			}
		}
	}
	return b.String()
}

// heading names the columns of the tables.
func heading() string {
	return fmt.Sprintf("  %-27s %-5s %9s %20s %6s %5s", "", "", "median", "min - max", "ratio", "goal")
}

func (m measure) text(n float64) string {
	if m.name == "bytes" {
		return size(n)
	}
	return duration(n)
}

// duration returns nanoseconds with three digits and a unit.
func duration(n float64) string {
	switch {
	case n >= float64(100*time.Second):
		return fmt.Sprintf("%.0f s", n/1e9)
	case n >= float64(time.Second):
		return number(n/1e9) + " s"
	case n >= float64(time.Millisecond):
		return number(n/1e6) + " ms"
	case n >= float64(time.Microsecond):
		return number(n/1e3) + " us"
	}
	return fmt.Sprintf("%.0f ns", n)
}

func size(n float64) string {
	switch {
	case n >= 1<<30:
		return number(n/(1<<30)) + " GiB"
	case n >= 1<<20:
		return number(n/(1<<20)) + " MiB"
	}
	return number(n/(1<<10)) + " KiB"
}

// number has three digits, or more before the point.
func number(n float64) string {
	switch {
	case n >= 100:
		return fmt.Sprintf("%.0f", n)
	case n >= 10:
		return fmt.Sprintf("%.1f", n)
	case n >= 0.1 || n == 0:
		return fmt.Sprintf("%.2f", n)
	}
	return fmt.Sprintf("%.2g", n)
}

func shorten(s string, most int) string {
	if len(s) > most {
		return s[:most]
	}
	return s
}

// wrap breaks text into lines at its spaces. A word that is longer than a line is cut.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		for len(word) > width {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			lines, word = append(lines, word[:width]), word[width:]
		}
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
