package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"croft/integration/modules"
)

// The newest release of the validation programs does not build any more.
const (
	validationModule  = "github.com/opencontainers/runtime-tools"
	validationVersion = "v0.9.1-0.20251205004911-5e639034dcdc"
)

// validation builds the validation programs, and returns each as a file of
// one test.
func (b builder) validation(ctx context.Context) ([]file, error) {
	dir := filepath.Join(b.cache, "runtime-tools-"+validationVersion)
	if err := modules.Once(dir, func(dir string) error { return b.makeValidation(ctx, dir) }); err != nil {
		return nil, err
	}
	programs, err := os.ReadDir(filepath.Join(dir, "bin"))
	if err != nil {
		return nil, err
	}
	var all []file
	for _, p := range programs {
		all = append(all, file{
			suite: "validation", name: p.Name(), tests: []string{p.Name()}, limit: 2 * time.Minute,
			job: func(c candidate, _ []string) job {
				// They take from the directory what they put into containers.
				return job{
					Args: []string{filepath.Join(dir, "bin", p.Name())},
					Env:  append(boxEnv(b.path), "RUNTIME="+c.path), Dir: dir,
				}
			},
			read: readProgram,
		})
	}
	return all, nil
}

func (b builder) makeValidation(ctx context.Context, dir string) error {
	m, err := b.tool.Download(ctx, validationModule, validationVersion)
	if err != nil {
		return err
	}
	// Static: they, and what runs in the containers.
	static := []string{"CGO_ENABLED=0"}
	if err := b.tool.Install(ctx, m, filepath.Join(dir, "bin"), static, nil, "validation/..."); err != nil {
		return err
	}
	if err := b.tool.Install(ctx, m, dir, static, nil, "cmd/runtimetest"); err != nil {
		return err
	}
	name := "rootfs-" + runtime.GOARCH + ".tar.gz"
	archive, err := os.ReadFile(filepath.Join(m.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return makeBusybox(b.busybox, filepath.Join(dir, name))
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), archive, 0o644)
}

// readProgram makes one result of a program: it has passed if it ended well
// and all that it planned was right. Some plan nothing: they tell of an error,
// or do not.
func readProgram(tests []string, out output) map[string]result {
	p := newTAPParser()
	for _, line := range out.lines {
		p.line(line)
	}
	var r result
	ran := 0
	for _, point := range p.points {
		switch point.verdict {
		case failed:
			r.Failures++
		case passed:
			ran++
		}
	}
	switch {
	case out.hung:
		r.Verdict = hung
	case r.Failures > 0, out.status != 0, p.planned < 0, p.planned > len(p.points):
		r.Verdict = failed
	case p.planned == 0 && slices.ContainsFunc(out.lines, isError):
		r.Verdict = failed
	case p.planned > 0 && ran == 0:
		r.Verdict = skipped
	}
	if r.Verdict != passed {
		r.Detail = fmt.Sprintf("%s\nstandard error:\n%s\nexit status %d",
			strings.Join(out.lines, "\n"), strings.TrimSpace(out.stderr), out.status)
	}
	return map[string]result{tests[0]: r}
}

// isError recognises a diagnostic of TAP that says what went wrong.
func isError(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), `"error":`) }
