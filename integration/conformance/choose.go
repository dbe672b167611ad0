package main

import (
	"regexp"
	"strings"
	"time"
)

// A file is what of a suite runs at once: a file of bats tests, or a program.
type file struct {
	suite, name string
	tests       []string // in the order in which they run
	// digest is of what the results depend on beside the suite's version.
	digest string
	limit  time.Duration // after which a test that prints nothing has hung
	// job is how to run some of its tests with a runtime. They end one after
	// the other, or all at once.
	job func(candidate, []string) job
	// read makes results of these tests of what the job printed.
	read func(tests []string, out output) map[string]result
}

// path names the file in reports.
func (f file) path() string { return f.suite + "/" + f.name }

// choose returns the files of which a regular expression matches the path or
// the path, a colon, a space, and the name of a test; with those tests alone if it is
// not the path.
func choose(files []file, pick *regexp.Regexp) []file {
	var chosen []file
	for _, f := range files {
		if pick.MatchString(f.path()) {
			chosen = append(chosen, f)
			continue
		}
		var tests []string
		for _, test := range f.tests {
			if pick.MatchString(f.path() + ": " + test) {
				tests = append(tests, test)
			}
		}
		if len(tests) > 0 {
			f.tests = tests
			chosen = append(chosen, f)
		}
	}
	return chosen
}

// batsTests returns the names of the tests in a file of bats, as bats reads
// them: @test "NAME" {, NAME without escapes, but for blanks around it, which
// its TAP cannot have.
func batsTests(text string) []string {
	var tests []string
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "@test ")
		if !ok {
			continue
		}
		rest, ok = strings.CutSuffix(strings.TrimSpace(rest), "{")
		name := strings.TrimSpace(rest)
		if !ok || len(name) < 2 || name[0] != name[len(name)-1] {
			continue
		}
		tests = append(tests, strings.TrimSpace(name[1:len(name)-1]))
	}
	return tests
}

// batsFilter is the extended regular expression that matches these names.
func batsFilter(tests []string) string {
	var quoted []string
	for _, test := range tests {
		var b strings.Builder
		for _, r := range test {
			if strings.ContainsRune(`\.+*?()|[]{}^$`, r) {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
		}
		quoted = append(quoted, b.String())
	}
	return "^ *(" + strings.Join(quoted, "|") + ") *$"
}
