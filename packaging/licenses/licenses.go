// Package licenses identifies the licenses of Go modules by the texts in them, and
// decides which of them croft may be linked with.
package licenses

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"croft/internal/pattern"
)

// phrases are sentences that only the text of one license contains, by its SPDX
// identifier. A text has a license if it contains all sentences of it.
var phrases = []struct {
	id    string
	texts []string
}{
	{"Apache-2.0", []string{"apache license version 2.0, january 2004", "grant of patent license"}},
	{"Apache-2.0", []string{"licensed under the apache license, version 2.0 (the \"license\")"}},
	{"MPL-2.0", []string{"mozilla public license version 2.0", "1.10. \"modifications\""}},
	{"MIT", []string{"permission is hereby granted, free of charge, to any person obtaining a copy", "without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense"}},
	{"BSD-3-Clause", []string{"redistributions of source code must retain the above copyright notice", "redistributions in binary form must reproduce", "be used to endorse or promote products derived from this software without specific prior written permission"}},
	{"BSD-2-Clause", []string{"redistributions of source code must retain the above copyright notice", "redistributions in binary form must reproduce"}},
	{"ISC", []string{"permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"}},
	{"CC-BY-4.0", []string{"creative commons attribution 4.0 international public license"}},
	{"CC-BY-SA-4.0", []string{"creative commons attribution-sharealike 4.0 international public license"}},
	{"AGPL-3.0-only", []string{"gnu affero general public license version 3"}},
	{"LGPL-3.0-only", []string{"gnu lesser general public license version 3"}},
	{"LGPL-2.1-only", []string{"gnu lesser general public license version 2.1"}},
	{"GPL-3.0-only", []string{"gnu general public license version 3, 29 june 2007", "tivoization"}},
	{"GPL-3.0-only", []string{"gnu general public license version 3, 29 june 2007", "you may convey verbatim copies"}},
	{"GPL-2.0-only", []string{"gnu general public license version 2, june 1991", "verbatim copies of the program's source code"}},
}

// space matches what separates words: white space, and the marks of comments and headings.
var space = pattern.New(`[\s#*/>]+`)

// quotes turns the quotation marks of typesetting into those of ASCII.
var quotes = strings.NewReplacer("“", `"`, "”", `"`, "’", "'")

// Identify returns the SPDX identifiers of the licenses whose text is in a text, in
// alphabetical order. It returns nothing for a text that it does not know.
func Identify(text string) []string {
	text = strings.ToLower(space().ReplaceAllString(quotes.Replace(text), " "))
	var ids []string
	for _, l := range phrases {
		if !slices.ContainsFunc(l.texts, func(t string) bool { return !strings.Contains(text, t) }) {
			ids = append(ids, l.id)
		}
	}
	if slices.Contains(ids, "BSD-3-Clause") { // has the sentences of the shorter one, too
		ids = slices.DeleteFunc(ids, func(id string) bool { return id == "BSD-2-Clause" })
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// allowed are licenses of modules that croft may be linked with.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"}

// decided are modules with a further license, and why croft may be linked with
// them nevertheless.
var decided = map[string]map[string]string{
	"github.com/cyphar/filepath-securejoin": {"MPL-2.0": "covers files of the module only, which croft does not change"},
	"github.com/opencontainers/go-digest":   {"CC-BY-SA-4.0": "covers its documentation, which croft does not contain"},
}

// Refused returns the licenses of a module that croft must not be linked with before
// decided names a reason.
func Refused(module string, ids []string) []string {
	var refused []string
	for _, id := range ids {
		if _, ok := decided[module][id]; !ok && !slices.Contains(allowed, id) {
			refused = append(refused, id)
		}
	}
	return refused
}

// name matches the names of files that have a license's text.
var name = pattern.New(`(?i)^(un)?(licen[sc]e|copying)([.-].*)?$`)

// Of returns the licenses of the module in a directory, by the files in it. It fails if
// there is no license, and if a file is of a license that it does not know.
func Of(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the licenses of a module: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() || !name().MatchString(e.Name()) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read the licenses of a module: %w", err)
		}
		found := Identify(string(text))
		if len(found) == 0 {
			return nil, fmt.Errorf("cannot identify the license in %s: the text is unknown", path)
		}
		ids = append(ids, found...)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("cannot identify the license in %s: no file has its text", dir)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}
