package display

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"croft/internal/fail"
)

// JSON returns v as indented JSON that does not control a terminal.
func JSON(v any) (string, error) {
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
