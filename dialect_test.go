package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A word is an expression that people who learn English do not expect, with what
// croft writes instead.
type word struct {
	word    *regexp.Regexp
	instead string
}

// dialect are words that people who learn English do not expect, each with
// what croft writes instead.
var dialect = []word{
	{regexp.MustCompile(`(^|\S+ )(is|are|was) no [\w["]`), `"is not a X", or "invalid X"`},
	{regexp.MustCompile(`\b(is|are) (a )?success\b`), "succeeds"},
	{regexp.MustCompile(`\b[Nn]obody($|[^:\w])`), "no VPS, no program, no other user"},
	{regexp.MustCompile(`\b[Ss]omebody\b`), "another program, a user, a process inside"},
	{regexp.MustCompile(`\b[Mm]end(s|ed|ing)?\b`), "repair, fix"},
	{regexp.MustCompile(`\b[Cc]all(s|ed|ing)? off\b`), "cancel"},
	{regexp.MustCompile(`\b[Ss]ay(s|ing)? so\b`), "print, report"},
	{regexp.MustCompile(`\b(bridge|file|chain|network|rule)s? of (croft's|yours|one's own)\b|\bof croft's own\b`), "croft's own X, an existing X"},
	{regexp.MustCompile(`\banew\b`), "again"},
	{regexp.MustCompile(`\b[Mm]ade of\b`), "created from"},
	{regexp.MustCompile(`\b(is|was) told of\b`), "is reported"},
	{regexp.MustCompile(`\bno way back\b`), "cannot be undone"},
	{regexp.MustCompile(`\bvouch(es|ed)?\b`), "verify"},
	{regexp.MustCompile(`\bthrough and through\b`), "fully"},
	{regexp.MustCompile(`\bif need be\b`), "if necessary"},
	{regexp.MustCompile(`\b(lies|lie) over\b`), "covers, is mounted over"},
	{regexp.MustCompile(`\bgoes by\b`), "uses"},
	{regexp.MustCompile(`\bmakes? no sense\b`), "invalid"},
	{regexp.MustCompile(`\bwhat becomes of\b`), "name the thing"},
	{regexp.MustCompile(`^(Printed|Started|Not kept) is\b`), "the subject first"},
}

// commentDialect are more such words, which comments had.
var commentDialect = []word{
	{regexp.MustCompile(`\b(of ours|of croft's)\b`), "croft's X"},
	{regexp.MustCompile(`\b[Ww]hoever\b`), "the caller, the process that"},
	{regexp.MustCompile(`\b(is|are) none\b`), `"" without a X, or 0: no X`},
	{regexp.MustCompile(`\blets? go\b`), "start, release, close"},
	{regexp.MustCompile(`\bfor ever\b`), "without an end, always"},
	{regexp.MustCompile(`\bsees to it\b`), "makes sure"},
	{regexp.MustCompile(`^(What|Who|Whoever|Those (that|who|of)|One (that|of|who))\b`), "the subject first"},
}

// Comments are in plain English.
func TestPlainComments(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || strings.HasPrefix(s.dir, "integration") {
			continue
		}
		for _, group := range s.file.Comments {
			text := strings.ReplaceAll(strings.TrimSpace(group.Text()), "\n", " ")
			checkWords(t, s.path, text, slices.Concat(dialect, commentDialect))
		}
	}
}

func checkWords(t *testing.T, where, text string, words []word) {
	t.Helper()
	for _, d := range words {
		for _, found := range d.word.FindAllString(text, -1) {
			if !strings.HasPrefix(strings.ToLower(found), "there ") {
				t.Errorf("%s: %q: write %s\n\t%.100s", where, strings.TrimSpace(found), d.instead, text)
			}
		}
	}
}

// Help, messages and documentation are in plain English.
func TestPlainEnglish(t *testing.T) {
	check := func(where, text string) { checkWords(t, where, text, dialect) }
	for _, s := range sources(t) {
		if s.test || strings.HasPrefix(s.dir, "integration") {
			continue
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, s.path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			check(files.Position(literal.Pos()).String(), strings.ReplaceAll(text, "\n", " "))
			return true
		})
	}
	var docs []string
	for dir, least := range map[string]int{"docs": 10, "docs/guide": 10, "docs/decisions": 5} {
		pages, err := filepath.Glob(dir + "/*.md")
		if err != nil || len(pages) < least {
			t.Fatalf("%s: %v, %v", dir, pages, err)
		}
		docs = append(docs, pages...)
	}
	for _, name := range append(docs, "README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for paragraph := range strings.SplitSeq(string(text), "\n\n") {
			check(name, strings.Join(strings.Fields(paragraph), " "))
		}
	}
}
