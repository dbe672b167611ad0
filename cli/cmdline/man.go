package cmdline

import (
	"slices"
	"strings"

	"croft/cli/cmdline/roff"
)

// Pages returns the paths of all commands that have a manual page of their own.
// The empty path is the program. The commands of another command line share the
// page of their family.
func Pages(root *Verb) [][]string {
	pages := [][]string{nil}
	for _, v := range root.Verbs {
		pages = append(pages, []string{v.Name})
		for _, sub := range v.Verbs {
			if !sub.Foreign {
				pages = append(pages, []string{v.Name, sub.Name})
			}
		}
	}
	return pages
}

// PageName returns the name of the page of a command, as man(1) takes it:
// croft-template-build.
func PageName(root *Verb, path []string) string {
	return strings.Join(append([]string{root.Name}, path...), "-")
}

// PageRef returns a reference to the page of a command.
func PageRef(root *Verb, path []string) string { return PageName(root, path) + "(8)" }

// WriteCommand writes the sections of the page that follow from the table:
// SYNOPSIS, DESCRIPTION, COMMANDS and OPTIONS of the command at path, or of
// a family.
func WriteCommand(page *roff.Page, root *Verb, path []string) {
	v := root.At(path)
	page.Section("SYNOPSIS")
	for _, sub := range v.Verbs {
		page.Synopsis(Usage(root, append(slices.Clone(path), sub.Name)))
	}
	if len(v.Verbs) == 0 {
		page.Synopsis(Usage(root, path))
	}
	page.Section("DESCRIPTION")
	WriteAbout(page, root, v, path)
	if len(v.Verbs) > 0 {
		page.Section("COMMANDS")
		for _, sub := range v.Verbs {
			page.Item(PageRef(root, append(slices.Clone(path), sub.Name)), Capital(sub.Summary)+".")
		}
	}
	page.Section("OPTIONS")
	WriteOptions(page, v.Shown())
	page.Paragraph("The options of every command are in " + PageRef(root, nil) + ".")
}

// WriteOptions writes the options as items.
func WriteOptions(page *roff.Page, options []Option) {
	for _, o := range options {
		page.Item(o.Typed(), Capital(o.Usage)+".")
	}
}

// WriteAbout writes the summary of v, its other names if it has a path, and the
// text about it.
func WriteAbout(page *roff.Page, root, v *Verb, path []string) {
	page.Paragraph(Capital(v.Summary) + ".")
	if len(path) > 0 {
		if names := OtherNames(root, v, path); len(names) > 0 {
			page.Paragraph("Aliases: " + strings.Join(names, ", ") + ".")
		}
	}
	for p := range Paragraphs(v.About) {
		if p.Verbatim {
			page.Verbatim(p.Text)
			continue
		}
		page.Paragraph(p.Text)
	}
}

// AllExamples returns the examples of a command and of all commands in it.
func (v *Verb) AllExamples() []string {
	all := slices.Clone(v.Examples)
	for _, sub := range v.Verbs {
		for _, e := range sub.Examples {
			if !slices.Contains(all, e) {
				all = append(all, e)
			}
		}
	}
	return all
}

// Related returns references to the pages of the family of the command, or of
// the commands under the same heading.
func Related(root *Verb, path []string) []string {
	var all []string
	if len(path) > 1 {
		all = append(all, PageRef(root, path[:1]))
		for _, sub := range root.Verb(path[0]).Verbs {
			all = append(all, PageRef(root, []string{path[0], sub.Name}))
		}
	} else {
		group := root.Verb(path[0]).Group
		for _, v := range root.Verbs {
			if v.Group == group {
				all = append(all, PageRef(root, []string{v.Name}))
			}
		}
	}
	return slices.DeleteFunc(all, func(ref string) bool { return ref == PageRef(root, path) })
}
