package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"croft/internal/fail"
)

// A table is lines of cells; the first is the header.
type table [][]string

// String aligns the columns two blanks apart, and leaves none at a line's end.
// An empty cell is a "-", so that a script can count on the columns.
func (t table) String() string {
	var width []int
	for _, row := range t {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(shown(cell)))
		}
	}
	var out strings.Builder
	for _, row := range t {
		for i, cell := range row {
			cell = shown(cell)
			out.WriteString(cell)
			if i < len(row)-1 {
				out.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		out.WriteByte('\n')
	}
	return out.String()
}

func shown(cell string) string {
	if cell = oneLine(cell); cell == "" {
		return "-"
	}
	return cell
}

// asJSON is v for scripts, and for people who read it.
func asJSON(v any) (string, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return "", fail.New(fail.Internal, "encode JSON: %w", err)
	}
	return escapeControls(out.String()), nil
}

// escapeControls writes the characters of a JSON text that control a terminal
// and that JSON leaves as they are (DEL, C1, bidirectional controls) as \u
// escapes, which mean the same. Such characters stand in strings only.
func escapeControls(text string) string {
	var out strings.Builder
	for _, r := range text {
		if r >= 0x7f && r <= 0x9f || reorders(r) {
			fmt.Fprintf(&out, "\\u%04x", r)
			continue
		}
		out.WriteRune(r)
	}
	return out.String()
}

// printJSON writes v as JSON.
func (a *app) printJSON(v any) error {
	text, err := asJSON(v)
	if err != nil {
		return err
	}
	return a.print(text)
}

// shortDigest is a digest as tables show it.
func shortDigest(digest string) string {
	_, hex, ok := strings.Cut(digest, ":")
	if !ok || len(hex) < 12 {
		return digest
	}
	return hex[:12]
}
