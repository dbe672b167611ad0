package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"croft/cli/cmdline"
	"croft/cli/command"
)

// Every command has an example, and croft accepts each of them.
func TestExamples(t *testing.T) {
	a := hinting(t)
	t.Chdir(t.TempDir())
	write(t, "small.yaml", "memory: 1G\n") // for --file
	write(t, "cosign.key", signKey(t))     // for --sign-key
	eachVerb(commands(a), nil, func(path []string, v *cmdline.Verb) {
		if len(v.Examples) == 0 && len(v.Verbs) == 0 {
			t.Errorf("croft %s has no example", strings.Join(path, " "))
		}
		for _, line := range v.Examples {
			if !slices.ContainsFunc(croftLines(t, line), func(words []string) bool { return slices.Equal(words[:1], path[:1]) }) {
				t.Errorf("an example of %s is about another command: %s", strings.Join(path, " "), line)
			}
			checkExample(t, a, line)
		}
	})
	for line := range strings.Lines(examples) {
		checkExample(t, a, line)
	}
}

func checkExample(t *testing.T, a *command.App, line string) {
	t.Helper()
	lines := croftLines(t, line)
	if len(lines) == 0 {
		t.Errorf("no command of croft in %s", line)
	}
	for _, words := range lines {
		if !accepts(a, words) {
			t.Errorf("croft refuses %s", line)
		}
	}
}

// croftLines are the commands of croft in a line, which may be a pipe and write
// to a file.
func croftLines(t *testing.T, line string) [][]string {
	t.Helper()
	words, err := unquote(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for len(words) > 0 {
		command := words
		if at := slices.Index(words, "|"); at >= 0 {
			command, words = words[:at], words[at+1:]
		} else {
			words = nil
		}
		if at := slices.IndexFunc(command, func(w string) bool { return strings.HasPrefix(w, ">") }); at >= 0 {
			command = command[:at]
		}
		if command[0] == "croft" {
			all = append(all, command[1:])
		}
	}
	return all
}

// write writes a file, and the directories above it.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
