package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// A session is one run: what is run, where, and what has come of it.
type session struct {
	options
	files  []file
	box    box
	kept   *kept
	ours   results // croft's
	theirs results // runc's, of the same tests
}

// measureRunc measures with runc what was not measured before on this machine.
func (s *session) measureRunc(ctx context.Context, c candidate) error {
	s.theirs = results{}
	for _, f := range s.files {
		missing := f.tests
		if !s.fresh {
			missing = s.kept.missing(f)
		}
		if len(missing) > 0 && s.only != "croft" {
			partial := f
			partial.tests = missing
			start := time.Now()
			found, err := measure(ctx, s.box, f, c, missing)
			if err == nil {
				err = again(ctx, s.box, partial, c, found, func(string, result) bool { return true })
			}
			if err != nil {
				return fmt.Errorf("%s: %w", f.path(), err)
			}
			progress(f, c, found, time.Since(start))
			if err := s.kept.add(f, found); err != nil {
				return err
			}
		}
		for _, test := range f.tests {
			if r, ok := s.kept.get(f, test); ok {
				s.theirs.set(f.path(), test, r)
			}
		}
	}
	return nil
}

// measureCroft measures with croft, under the name of runc.
func (s *session) measureCroft(ctx context.Context) error {
	s.ours = results{}
	if s.only == "runc" {
		return nil
	}
	c := candidate{"croft", filepath.Join(s.cache, "croft/bin/runc")}
	if err := copyFile(s.croft, c.path); err != nil {
		return err
	}
	for _, f := range s.files {
		start := time.Now()
		found, err := measure(ctx, s.box, f, c, f.tests)
		if err == nil {
			err = again(ctx, s.box, f, c, found, func(test string, r result) bool {
				their, ok := s.theirs[f.path()][test]
				return ok && r.worse(their)
			})
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.path(), err)
		}
		progress(f, c, found, time.Since(start))
		s.ours[f.path()] = found
	}
	return nil
}

// doubt runs with runc once more each test in which croft does worse, as often
// as croft ran it, and takes runc's worst result: what it passes by luck, croft
// need not.
func (s *session) doubt(ctx context.Context, c candidate) error {
	if s.only != "" {
		return nil
	}
	for _, f := range s.files {
		for _, test := range f.tests {
			for range tries {
				their := s.theirs[f.path()][test]
				if !s.ours[f.path()][test].worse(their) {
					break
				}
				found, err := measure(ctx, s.box, f, c, []string{test})
				if err != nil {
					return fmt.Errorf("%s: %w", f.path(), err)
				}
				if !found[test].worse(their) {
					continue
				}
				s.theirs.set(f.path(), test, found[test])
				if err := s.kept.add(f, found); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
