package display

import (
	"encoding/csv"
	"slices"
	"strconv"
	"strings"

	"croft/internal/pattern"
)

// A Table is lines of cells. The first line is the header.
//
// The layout is our own: text/tabwriter and table libraries can neither shorten
// lists and names to the width of a terminal nor leave out columns.
type Table [][]string

// A Layout says how to lay out a table.
type Layout struct {
	Width int      // of the terminal; 0 shortens nothing
	Bare  bool     // without the header
	Spare []string // titles of columns that may be left out, the first one first
}

// String lays out the whole table.
func (t Table) String() string { return t.Text(Layout{}) }

// Text aligns the columns, two blanks apart. No line ends with a blank.
// An empty cell is "-", so that scripts can count columns. With a width, no line
// is longer. Digests then have 12 digits. If that is not enough, Text takes these
// steps in turn: it cuts lists to their first items and the number of the others,
// leaves out the columns in Spare, cuts texts, cuts names, and cuts lines.
func (t Table) Text(l Layout) string {
	if len(t) == 0 {
		return ""
	}
	titles := t[0]
	rows := make(Table, len(t))
	for n, row := range t {
		for _, cell := range row {
			rows[n] = append(rows[n], shown(cell, l.Width > 0))
		}
	}
	if l.Bare {
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
				line.WriteString(strings.Repeat(" ", c.width-Width(cell)+gap))
			}
		}
		text := line.String()
		if l.Width > 0 {
			text = cut(text, l.Width)
		}
		out.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	return out.String()
}

// gap is the number of blanks between two columns.
const gap = 2

// CSV returns the table in the format of RFC 4180, with titles in small letters.
// An empty cell is empty.
func (t Table) Csv(bare bool) string {
	if len(t) == 0 {
		return ""
	}
	var out strings.Builder
	w := csv.NewWriter(&out)
	for n, row := range t {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cells[i] = OneLine(cell); n == 0 {
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
func fit(titles []string, rows Table, l Layout) []fitted {
	var all []fitted
	for i, title := range titles {
		c := fitted{index: i, kind: kindOf(title)}
		for _, row := range rows {
			c.width = max(c.width, Width(row[i]))
			c.least = max(c.least, c.kind.least(row[i]))
		}
		if !l.Bare {
			c.least = max(c.least, Width(title))
		}
		all = append(all, c)
	}
	if l.Width == 0 {
		return all
	}
	shrink(all, listCell, l.Width)
	for _, title := range l.Spare {
		if tooWide(all, l.Width) > 0 {
			all = slices.DeleteFunc(all, func(c fitted) bool { return titles[c.index] == title })
		}
	}
	shrink(all, textCell, l.Width)
	shrink(all, nameCell, l.Width)
	for n, c := range all { // lists end where an item does
		used := 0
		for _, row := range rows {
			used = max(used, Width(c.kind.shorten(row[c.index], c.width)))
		}
		if !l.Bare {
			used = max(used, Width(titles[c.index]))
		}
		all[n].width = min(c.width, used)
	}
	return all
}

// tooWide returns by how much the columns are wider than most.
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

// A cellKind says how the cells of a column can be shortened.
type cellKind int

const (
	wholeCell cellKind = iota // a number, a state and the like, which is shown whole or not at all
	listCell                  // items with commas in between
	textCell
	nameCell
)

// kindOf returns the kind of a column. A title means the same in every table.
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

// least returns the smallest width for a cell.
func (k cellKind) least(cell string) int {
	n := Width(cell)
	switch k {
	case listCell:
		if items, _ := itemsOf(cell); len(items) > 1 {
			return Width(items[0] + more(len(items)-1))
		}
	case textCell:
		return min(n, leastText)
	case nameCell:
		return min(n, leastName)
	}
	return n
}

// shorten returns the cell for a column of width most.
func (k cellKind) shorten(cell string, most int) string {
	if k == listCell && Width(cell) > most {
		items, comma := itemsOf(cell)
		for n := len(items) - 1; n > 0; n-- {
			if text := strings.Join(items[:n], comma) + more(len(items)-n); Width(text) <= most {
				return text
			}
		}
	}
	return cut(cell, most)
}

// more stands for n items that are not shown.
func more(n int) string { return " +" + strconv.Itoa(n) }

// itemsOf returns the items of a list, and the text between them.
func itemsOf(cell string) (items []string, comma string) {
	comma = ","
	if strings.Contains(cell, ", ") {
		comma = ", "
	}
	return strings.Split(cell, comma), comma
}

// ShortDigests returns text with 12 digits of each digest.
func ShortDigests(text string) string { return digests().ReplaceAllString(text, "$1") }

var digests = pattern.New(`sha256:([0-9a-f]{12})[0-9a-f]*`)

// shown returns a cell as one line, and with brief only 12 digits of a digest.
func shown(cell string, brief bool) string {
	if cell = OneLine(cell); cell == "" {
		return "-"
	}
	if brief {
		cell = ShortDigests(cell)
	}
	return cell
}
