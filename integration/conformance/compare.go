package main

import (
	"slices"
	"strings"
)

// A result is what became of one test with one runtime.
type result struct {
	Verdict verdict `json:"verdict"`
	// Failures is how many assertions failed, of a test that has several, and 0
	// of one that failed before it came to any.
	Failures int `json:"failures,omitempty"`
	// Detail is what the test printed.
	Detail string `json:"detail,omitempty"`
}

// worse reports whether r says worse of a runtime than other does of another.
// Of two that fail, the one is worse that fails in more, or altogether.
func (r result) worse(other result) bool {
	if r.Verdict != other.Verdict {
		return r.Verdict > other.Verdict
	}
	return r.Verdict == failed && r.Failures != other.Failures &&
		(r.Failures == 0 || other.Failures != 0 && r.Failures > other.Failures)
}

// results are what became of tests: by the name of their file, and their own.
type results map[string]map[string]result

func (r results) set(file, test string, to result) {
	if r[file] == nil {
		r[file] = map[string]result{}
	}
	r[file][test] = to
}

// A difference is a test in which ours does worse than theirs, or better.
type difference struct {
	file, test   string
	ours, theirs result
}

// compare returns every test that theirs has and in which ours does worse,
// sorted. A test that ours has not is one that it did not survive.
func compare(ours, theirs results) []difference {
	var all []difference
	for file, tests := range theirs {
		for test, their := range tests {
			our, ok := ours[file][test]
			if !ok {
				our = result{Verdict: hung, Detail: "it was not run to its end"}
			}
			if our.worse(their) {
				all = append(all, difference{file, test, our, their})
			}
		}
	}
	slices.SortFunc(all, func(a, b difference) int {
		if c := strings.Compare(a.file, b.file); c != 0 {
			return c
		}
		return strings.Compare(a.test, b.test)
	})
	return all
}

// better returns every test that both have and in which ours does better.
func better(ours, theirs results) []difference {
	all := slices.DeleteFunc(compare(theirs, ours), func(d difference) bool {
		_, ok := theirs[d.file][d.test]
		return !ok
	})
	for i, d := range all {
		all[i].ours, all[i].theirs = d.theirs, d.ours
	}
	return all
}

// A score counts verdicts.
type score [hung + 1]int

func scoreOf(tests map[string]result) (s score) {
	for _, r := range tests {
		s[r.Verdict]++
	}
	return s
}

func (s score) plus(other score) score {
	for v := range s {
		s[v] += other[v]
	}
	return s
}

// failures counts what hung as failed.
func (s score) failures() int { return s[failed] + s[hung] }
