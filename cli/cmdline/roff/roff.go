// Package roff writes manual pages in the language of groff_man(7).
package roff

import "strings"

// A Page is a manual page. It is written from its first line to its last. Its
// text is filled: man(1) breaks lines at the width of the terminal.
type Page struct{ out strings.Builder }

// New begins the page name(section) of a release of a program. Words are not
// hyphenated, so that names and options can be copied.
func New(name, section, release string) *Page {
	p := &Page{}
	p.macro("TH", strings.ToUpper(name), section, "", release, "")
	p.out.WriteString(".nh\n.ad l\n")
	return p
}

// String returns the page.
func (p *Page) String() string { return p.out.String() }

// Name writes the section that man -k and whatis(1) read.
func (p *Page) Name(name, summary string) {
	p.Section("NAME")
	p.line(escape(name) + ` \- ` + escape(summary))
}

// Section begins a section.
func (p *Page) Section(title string) { p.macro("SH", title) }

// Subsection begins a part of a section.
func (p *Page) Subsection(title string) { p.macro("SS", title) }

// Paragraph writes a filled paragraph; line breaks in text are spaces.
func (p *Page) Paragraph(text string) {
	p.macro("PP")
	p.Text(text)
}

// Text continues a paragraph, an item or a section.
func (p *Page) Text(text string) { p.line(escape(strings.Join(strings.Fields(text), " "))) }

// Synopsis writes a command in bold, and its words.
func (p *Page) Synopsis(command, words string) {
	p.macro("PP")
	p.line(strings.TrimSpace(`\fB` + escape(command) + `\fR ` + escape(words)))
}

// Item writes left in bold and, indented, a text about it. In left, the part after
// a space is a placeholder.
func (p *Page) Item(left, text string) {
	name, placeholder, _ := strings.Cut(left, " ")
	for strings.HasSuffix(name, ",") { // -m, --memory SIZE
		next, rest, _ := strings.Cut(placeholder, " ")
		name, placeholder = name+" "+next, rest
	}
	p.macro("TP")
	p.line(strings.TrimSpace(`\fB` + escape(name) + `\fR ` + escape(placeholder)))
	p.Text(text)
}

// Verbatim writes lines unchanged and indented.
func (p *Page) Verbatim(text string) {
	p.macro("PP")
	p.out.WriteString(".RS 4\n.nf\n")
	for line := range strings.Lines(strings.Trim(text, "\n")) {
		p.line(escape(strings.TrimRight(line, " \n")))
	}
	p.out.WriteString(".fi\n.RE\n")
}

// macro writes a line that begins with a macro. Its arguments are quoted.
func (p *Page) macro(name string, args ...string) {
	p.out.WriteString("." + name)
	for _, a := range args {
		p.out.WriteString(` "` + strings.ReplaceAll(escape(a), `"`, `\(dq`) + `"`)
	}
	p.out.WriteString("\n")
}

// line writes a line of escaped text so that roff does not read it as a macro.
func (p *Page) line(text string) {
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	p.out.WriteString(text + "\n")
}

// escape returns text so that roff prints it unchanged, with hyphens that can be
// pasted into a shell.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(text)
}
