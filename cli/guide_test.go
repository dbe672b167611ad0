package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// croft accepts every command line of README.md and docs/guide, in fenced blocks
// and in tables.
func TestCommandLinesOfTheGuide(t *testing.T) {
	pages, err := filepath.Glob("../docs/guide/*.md")
	if err != nil {
		t.Fatal(err)
	}
	a, config := hinting(t), t.TempDir()
	write(t, filepath.Join(config, "croft.yaml"), "defaults: {template: debian-12}\n")
	write(t, filepath.Join(config, "profiles", "small.yaml"), "memory: 256M\n")
	a.Getenv = func(key string) string { return map[string]string{"CROFT_CONFIG_DIR": config}[key] }
	found := 0
	for _, page := range append(pages, "../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range append(fencedLines(string(text)), cells(string(text))...) {
			for _, words := range typedCommands(t, line) {
				found++
				if !accepts(a, words) {
					t.Errorf("%s: croft refuses %s", page, line)
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d command lines found", found)
	}
}

// fencedLines are the lines in the fenced blocks of a page. A line that ends
// with a backslash is joined with the next one.
func fencedLines(page string) []string {
	var lines []string
	fenced, joined := false, ""
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			continue
		}
		if start, more := strings.CutSuffix(line, `\`); more {
			joined += start
			continue
		}
		if fenced {
			lines = append(lines, joined+line)
		}
		joined = ""
	}
	return lines
}

// code is a span of code that begins with a command of croft.
var code = regexp.MustCompile("`((sudo )?croft [^`]*)`")

// cells are the commands in the tables of a page.
func cells(page string) []string {
	var commands []string
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "|") {
			for _, span := range code.FindAllStringSubmatch(strings.ReplaceAll(line, `\|`, "|"), -1) {
				commands = append(commands, span[1])
			}
		}
	}
	return commands
}

// comment is the comment at the end of a line; begin what stands before the
// first command of a line: a prompt, or the key of a CI job; variable is what
// the shell replaces by a word.
var (
	comment  = regexp.MustCompile(`(^|\s)# .*$`)
	begin    = regexp.MustCompile(`^(\$ |- run: |run: |- )`)
	variable = regexp.MustCompile(`"?\$(\{[^}]*\}|\{\{[^}]*\}\}|\w+)"?`)
)

// typedCommands are the commands of croft in a line that a user types, each
// without the word croft. A line that has none may be anything, such as output.
func typedCommands(t *testing.T, line string) [][]string {
	t.Helper()
	line = begin.ReplaceAllString(comment.ReplaceAllString(line, ""), "")
	if !regexp.MustCompile(`(^|[|;&(] ?|sudo |xargs [-r0 ]*)croft `).MatchString(line) {
		return nil
	}
	line = variable.ReplaceAllString(strings.ReplaceAll(line, ";", " ; "), "web")
	words, err := unquote(line)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	var all [][]string
	for len(words) > 0 {
		command := words
		if at := slices.IndexFunc(words, endsCommand); at >= 0 {
			command, words = words[:at], words[at+1:]
		} else {
			words = nil
		}
		if at := slices.IndexFunc(command, func(w string) bool { return strings.HasPrefix(w, ">") || strings.HasPrefix(w, "<") }); at >= 0 {
			command = command[:at]
		}
		at := slices.Index(command, "croft")
		switch {
		case at < 0:
		case command[0] == "xargs": // which adds names
			all = append(all, append(slices.Clone(command[at+1:]), "web"))
		case at == 0 || command[0] == "sudo":
			all = append(all, command[at+1:])
		}
	}
	return all
}

func endsCommand(word string) bool {
	return slices.Contains([]string{"|", "||", "&&", ";", "&"}, word)
}

func TestTypedCommands(t *testing.T) {
	for line, want := range map[string]string{
		"$ croft start web --wait     # returns when it has booted":     "start web --wait",
		"croft template list; croft template build x":                   "template list; template build x",
		"tar -c . | croft exec web -- tar -x":                           "exec web -- tar -x",
		"- run: sudo croft run --rm --name ci-$ID -- make >log":         "run --rm --name ci-web -- make",
		"croft list -q | xargs -r croft destroy -f":                     "list -q; destroy -f web",
		"croft template list -q | grep x && croft template build y # z": "template list -q; template build y",
		"croft: web: cannot start: it is running already":               "",
		"web   running  10.90.0.2 (eth0)":                               "",
	} {
		var got []string
		for _, words := range typedCommands(t, line) {
			got = append(got, strings.Join(words, " "))
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
