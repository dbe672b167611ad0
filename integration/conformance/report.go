package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// report prints the table and the differences, and writes what they printed to
// files of their own; the cache's croft.json has all of croft's. It returns how
// many differences there are.
func (s *session) report(version string) (int, error) {
	table(os.Stdout, "runc "+version, s.files, s.ours, s.theirs)
	if len(s.ours) == 0 {
		return 0, nil
	}
	text, err := json.MarshalIndent(s.ours, "", "\t")
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(filepath.Join(s.cache, "croft.json"), text, 0o644); err != nil {
		return 0, err
	}
	worse := compare(s.ours, s.theirs)
	if err := os.RemoveAll(s.out); err != nil {
		return 0, err
	}
	if err := os.MkdirAll(s.out, 0o755); err != nil {
		return 0, err
	}
	differences(os.Stdout, "better", better(s.ours, s.theirs))
	differences(os.Stdout, "worse", worse)
	for _, d := range worse {
		if err := os.WriteFile(filepath.Join(s.out, d.fileName()), []byte(d.text()), 0o644); err != nil {
			return 0, err
		}
	}
	if len(worse) > 0 {
		fmt.Printf("What they print is in %s.\n", s.out)
	}
	return len(worse), nil
}

// table prints how many tests passed, failed and were skipped: of each file,
// each suite, and in all. A candidate without results has empty columns.
func table(to io.Writer, runc string, files []file, ours, theirs results) {
	width := 0
	for _, f := range files {
		width = max(width, len(f.path()))
	}
	line := func(format string, args ...any) {
		fmt.Fprintln(to, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
	const head = "passed  failed  skipped"
	line("%-*s  %-*s    %s", width, "", len(head), "croft", runc)
	line("%-*s  %s    %s", width, "", head, head)
	ourSums, theirSums := map[string]score{}, map[string]score{}
	sums := []string{}
	for _, f := range files {
		line("%-*s  %s    %s", width, f.path(), scoreOf(ours[f.path()]), scoreOf(theirs[f.path()]))
		if !slices.Contains(sums, f.suite) {
			sums = append(sums, f.suite)
		}
		for _, sum := range []string{f.suite, "all"} {
			ourSums[sum] = ourSums[sum].plus(scoreOf(ours[f.path()]))
			theirSums[sum] = theirSums[sum].plus(scoreOf(theirs[f.path()]))
		}
	}
	for _, sum := range append(sums, "all") {
		line("%-*s  %s    %s", width, sum, ourSums[sum], theirSums[sum])
	}
}

// String prints the three columns of the table, as blanks if there is nothing
// to count.
func (s score) String() string {
	if s == (score{}) {
		return fmt.Sprintf("%6s  %6s  %7s", "", "", "")
	}
	return fmt.Sprintf("%6d  %6d  %7d", s[passed], s.failures(), s[skipped])
}

// differences lists in which tests croft does worse, or better.
func differences(to io.Writer, how string, all []difference) {
	switch len(all) {
	case 0:
		fmt.Fprintf(to, "croft does %s in no test.\n", how)
		return
	case 1:
		fmt.Fprintf(to, "croft does %s in 1 test:\n", how)
	default:
		fmt.Fprintf(to, "croft does %s in %d tests:\n", how, len(all))
	}
	for _, d := range all {
		fmt.Fprintln(to, " ", d)
	}
}

func (d difference) String() string {
	return fmt.Sprintf("%s: %s: %s, runc %s", d.file, d.test, d.ours, d.theirs)
}

func (r result) String() string {
	if r.Failures > 0 {
		return fmt.Sprintf("%s %d", r.Verdict, r.Failures)
	}
	return r.Verdict.String()
}

// fileName is of the file that has the difference's text.
func (d difference) fileName() string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" /\t'\"`$&|;<>()*?[]{}\\", r) {
			return '_'
		}
		return r
	}, d.file+"-"+d.test) + ".txt"
}

func (d difference) text() string {
	return fmt.Sprintf("%s\n\ncroft:\n%s\n\nrunc:\n%s\n", d, strings.TrimSpace(d.ours.Detail), strings.TrimSpace(d.theirs.Detail))
}
