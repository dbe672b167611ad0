package cli

import (
	"encoding/csv"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A table is lines of cells; the first is the header.
type table [][]string

// A layout is how a table is laid out.
type layout struct {
	width int      // of the terminal; 0: nothing is shortened
	bare  bool     // without the header
	spare []string // titles of columns that are left out where they do not fit, the first of these first
}

// String lays out the whole table.
func (t table) String() string { return t.text(layout{}) }

// text aligns the columns two blanks apart, and leaves none at a line's end.
// An empty cell is a "-", so that a script can count on the columns. With a
// width no line is longer: digests have 12 digits, and where that is not enough
// lists are cut to their first items and how many more there are, columns that
// can be spared are left out, texts and then names are cut, and at last lines.
func (t table) text(l layout) string {
	if len(t) == 0 {
		return ""
	}
	titles := t[0]
	rows := make(table, len(t))
	for n, row := range t {
		for _, cell := range row {
			rows[n] = append(rows[n], shown(cell, l.width > 0))
		}
	}
	if l.bare {
		rows = rows[1:]
	}
	fitted := fit(titles, rows, l)
	var out strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, c := range fitted {
			cell := c.kind.shorten(row[c.index], c.width)
			line.WriteString(cell)
			if i < len(fitted)-1 {
				line.WriteString(strings.Repeat(" ", c.width-width(cell)+gap))
			}
		}
		text := line.String()
		if l.width > 0 {
			text = cut(text, l.width)
		}
		out.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	return out.String()
}

// gap is how many blanks are between two columns.
const gap = 2

// csv is the table as RFC 4180 has it, with the titles in small letters and
// nothing for an empty cell.
func (t table) csv(bare bool) string {
	if len(t) == 0 {
		return ""
	}
	var out strings.Builder
	w := csv.NewWriter(&out)
	for n, row := range t {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cells[i] = oneLine(cell); n == 0 {
				cells[i] = strings.ToLower(cells[i])
			}
		}
		if n > 0 || !bare {
			_ = w.Write(cells) // a Builder does not fail
		}
	}
	w.Flush()
	return out.String()
}

// A fitted column is one that is shown.
type fitted struct {
	index int
	kind  cellKind
	width int
	least int // that it can be shortened to
}

// fit chooses the columns and their widths.
func fit(titles []string, rows table, l layout) []fitted {
	var all []fitted
	for i, title := range titles {
		c := fitted{index: i, kind: kindOf(title)}
		for _, row := range rows {
			c.width = max(c.width, width(row[i]))
			c.least = max(c.least, c.kind.least(row[i]))
		}
		if !l.bare {
			c.least = max(c.least, width(title))
		}
		all = append(all, c)
	}
	if l.width == 0 {
		return all
	}
	shrink(all, listCell, l.width)
	for _, title := range l.spare {
		if tooWide(all, l.width) > 0 {
			all = slices.DeleteFunc(all, func(c fitted) bool { return titles[c.index] == title })
		}
	}
	shrink(all, textCell, l.width)
	shrink(all, nameCell, l.width)
	for n, c := range all { // lists end where an item does
		used := 0
		for _, row := range rows {
			used = max(used, width(c.kind.shorten(row[c.index], c.width)))
		}
		if !l.bare {
			used = max(used, width(titles[c.index]))
		}
		all[n].width = min(c.width, used)
	}
	return all
}

// tooWide is by how much the columns are wider than most.
func tooWide(all []fitted, most int) int {
	sum := gap * (len(all) - 1)
	for _, c := range all {
		sum += c.width
	}
	return sum - most
}

// shrink makes columns of a kind narrower, the widest first, until all of them
// fit or none can be narrower.
func shrink(all []fitted, kind cellKind, most int) {
	for over := tooWide(all, most); over > 0; over-- {
		widest := -1
		for i, c := range all {
			if c.kind == kind && c.width > c.least && (widest < 0 || c.width > all[widest].width) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		all[widest].width--
	}
}

// A cellKind is what the cells of a column hold, as far as it matters for
// shortening them.
type cellKind int

const (
	wholeCell cellKind = iota // a number, a state and the like, which is shown whole or not at all
	listCell                  // items with commas in between
	textCell
	nameCell
)

// kindOf is the kind of a column, which its title tells in every table.
func kindOf(title string) cellKind {
	switch title {
	case "ADDRESSES", "NETWORKS", "MACS", "LINKS", "PORTS", "LABELS":
		return listCell
	case "COMMAND", "DESCRIPTION", "DETAIL", "ENDED", "ERROR", "FILES", "FOUND", "FOR", "REMEDY", "FROM":
		return textCell
	case "NAME", "TEMPLATE", "HOSTNAME", "BRIDGE", "USER", "WHAT":
		return nameCell
	}
	return wholeCell
}

// How narrow a column of texts or names becomes, in columns of a terminal.
const leastText, leastName = 12, 16

// least is how narrow a cell can be shown.
func (k cellKind) least(cell string) int {
	n := width(cell)
	switch k {
	case listCell:
		if items, _ := itemsOf(cell); len(items) > 1 {
			return width(items[0] + more(len(items)-1))
		}
	case textCell:
		return min(n, leastText)
	case nameCell:
		return min(n, leastName)
	}
	return n
}

// shorten is the cell in a column of that width.
func (k cellKind) shorten(cell string, most int) string {
	if k == listCell && width(cell) > most {
		items, comma := itemsOf(cell)
		for n := len(items) - 1; n > 0; n-- {
			if text := strings.Join(items[:n], comma) + more(len(items)-n); width(text) <= most {
				return text
			}
		}
	}
	return cut(cell, most)
}

// more is what stands for n items that are not shown.
func more(n int) string { return " +" + strconv.Itoa(n) }

// itemsOf are the items of a list, and what is between them.
func itemsOf(cell string) (items []string, comma string) {
	comma = ","
	if strings.Contains(cell, ", ") {
		comma = ", "
	}
	return strings.Split(cell, comma), comma
}

// digests are those of templates.
var digests = regexp.MustCompile(`sha256:([0-9a-f]{12})[0-9a-f]*`)

// shown is a cell on one line, and if brief with 12 digits of a digest.
func shown(cell string, brief bool) string {
	if cell = oneLine(cell); cell == "" {
		return "-"
	}
	if brief {
		cell = digests.ReplaceAllString(cell, "$1")
	}
	return cell
}

// cut is text in so many columns of a terminal, with an ellipsis where
// something is left out.
func cut(text string, most int) string {
	if width(text) <= most {
		return text
	}
	var out strings.Builder
	used := 0
	for _, r := range text {
		if used += runeWidth(r); used > most-1 {
			break
		}
		out.WriteRune(r)
	}
	return out.String() + "…"
}

// width is how many columns of a terminal text takes.
func width(text string) int {
	n := 0
	for _, r := range text {
		n += runeWidth(r)
	}
	return n
}

// runeWidth is 0 for a character that combines with the one before, 2 for the
// wide ones of East Asia and for pictures, and 1 for others.
func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana),
		r >= 0x3000 && r <= 0x303e, r >= 0xff01 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff:
		return 2
	}
	return 1
}
