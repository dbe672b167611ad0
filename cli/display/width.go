package display

import (
	"os"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// TerminalWidth returns the number of columns of the terminal f; 0 if f is not
// a terminal.
func TerminalWidth(f *os.File) int {
	if !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
		return w
	}
	return 80
}

// columnsOf counts the columns of characters as terminals do, whatever the locale
// is: 0 for a character that combines with the one before, 2 for wide ones.
var columnsOf = &runewidth.Condition{StrictEmojiNeutral: true}

// Width returns how many columns of a terminal text takes.
func Width(text string) int { return columnsOf.StringWidth(text) }

// cut returns text in at most so many columns of a terminal, with an ellipsis
// for the part that is left out.
func cut(text string, most int) string { return columnsOf.Truncate(text, most, "…") }
