package main

import (
	"context"
	"slices"
)

// A candidate is a runtime that is measured.
type candidate struct {
	name string
	path string // of the program, which is called runc: a test knows it by that
}

// measure runs tests of a file with a candidate. When one hangs, those that
// come after it are run nevertheless.
func measure(ctx context.Context, b box, f file, c candidate, tests []string) (map[string]result, error) {
	all := map[string]result{}
	for len(tests) > 0 {
		out, err := b.run(ctx, f.job(c, tests), f.limit, func(string) {})
		if err != nil {
			return nil, err
		}
		for test, r := range f.read(tests, out) {
			all[test] = r
		}
		// It has a result for one of them at least.
		tests = slices.DeleteFunc(slices.Clone(tests), func(t string) bool {
			_, ok := all[t]
			return ok
		})
	}
	return all, nil
}

// tries is how often a test is run that fails.
const tries = 3

// again runs once more, alone, what has failed, until it does not or has been
// tried often enough, and takes the best result: on a busy machine some tests fail
// that were not told to wait long enough, and some of the validation programs
// race with the runtime. What hangs is known to hang. Only the tests are run that
// want reports.
func again(ctx context.Context, b box, f file, c candidate, first map[string]result, want func(string, result) bool) error {
	for _, test := range f.tests {
		for try := 1; try < tries; try++ {
			r, ok := first[test]
			if !ok || r.Verdict != failed || !want(test, r) {
				break
			}
			next, err := measure(ctx, b, f, c, []string{test})
			if err != nil {
				return err
			}
			if r.worse(next[test]) {
				first[test] = next[test]
			}
		}
	}
	return nil
}
