package cli

import (
	"context"
	"croft/cli/display"
	"errors"
	"fmt"

	"croft/internal/vps"
	goruntime "runtime"
	"sync"
)

// A nameFunc does something to one VPS.
type nameFunc func(ctx context.Context, m Manager, name vps.Name) error

// forEach calls do for each VPS on the line, or with --all for every VPS. It
// prints each error, as "NAME: cannot ACT: …", and continues with the next VPS.
// The first error becomes the exit status.
func forEach(ctx context.Context, i *invocation, act string, do nameFunc) error {
	m, names, err := namesOf(ctx, i)
	if err != nil {
		return err
	}
	return tryEach(ctx, i, names, act, func(name vps.Name) error { return do(ctx, m, name) })
}

// Limits of VPSs at the same time. A stop mostly waits; a start needs CPU time too.
const stopsAtOnce = 32

func startsAtOnce() int { return max(4, 2*goruntime.NumCPU()) }

// forEachAtOnce is forEach for limit VPSs at the same time. It prints each error
// at once. The error of the first VPS in the order of the names becomes the exit
// status. Once ctx is done, it starts no further VPS. On a terminal it shows the
// number of finished VPSs.
func forEachAtOnce(ctx context.Context, i *invocation, limit int, act string, do nameFunc) error {
	m, names, err := namesOf(ctx, i)
	if err != nil {
		return err
	}
	if len(names) == 1 {
		return tryEach(ctx, i, names, act, func(name vps.Name) error { return do(ctx, m, name) })
	}
	managers := []Manager{m}
	if i.atOnce > 0 {
		limit = i.atOnce
	}
	for len(managers) < min(limit, len(names)) {
		m, err := i.manager() // each has its own connections to the network of the host
		if err != nil {
			return err
		}
		managers = append(managers, m)
	}
	return atOnce(ctx, i, managers, names, act, do)
}

// atOnce is forEachAtOnce with a Manager for each VPS at the same time.
func atOnce(ctx context.Context, i *invocation, managers []Manager, names []vps.Name, act string, do nameFunc) error {
	b := batch{i: i, act: act, names: names, failed: make([]error, len(names))}
	var working sync.WaitGroup
	for _, m := range managers {
		working.Go(func() {
			for n, ok := b.next(ctx); ok; n, ok = b.next(ctx) {
				b.ended(ctx, n, do(ctx, m, names[n]))
			}
		})
	}
	working.Wait()
	return b.result(ctx)
}

// A batch is a command for several VPSs, some of them at the same time.
type batch struct {
	i      *invocation
	act    string
	names  []vps.Name
	failed []error // in the order of names

	mu    sync.Mutex
	begun int
	done  int
}

// next returns the index of the next name; false if there is none.
func (b *batch) next(ctx context.Context) (int, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ctx.Err() != nil || b.begun == len(b.names) {
		return 0, false
	}
	b.begun++
	return b.begun - 1, true
}

// ended records and prints the result of the n-th VPS.
func (b *batch) ended(ctx context.Context, n int, err error) {
	err = cannot(b.act, string(b.names[n]), err)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done++
	b.failed[n] = err
	if err != nil && ctx.Err() == nil {
		b.i.report(b.i.Path, err)
		b.failed[n] = reported{Err: err}
	}
	if s := b.i.screen; s.OnTerminal() && b.done < len(b.names) {
		s.Progress(display.Stage{Step: fmt.Sprintf("%s: %d of %d done", b.act, b.done, len(b.names))})
	}
}

// result returns the first error in the order of the names.
func (b *batch) result(ctx context.Context) error {
	b.i.screen.Clear()
	var first error
	for _, err := range b.failed {
		var printed reported
		if err != nil && ctx.Err() != nil && !errors.As(err, &printed) {
			return err // the error of the interrupted VPS
		}
		if first == nil {
			first = err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return first
}

// tryEach calls do for each name, prints its errors, and returns the first
// error. Once ctx is done, it tries no further name.
func tryEach[N ~string](ctx context.Context, i *invocation, names []N, act string, do func(name N) error) error {
	var first error
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := cannot(act, string(name), do(name))
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return err
		}
		i.report(i.Path, err)
		if first == nil {
			first = reported{Err: err}
		}
	}
	return first
}

// namesOf returns the Manager and the names of the VPSs that a command is for.
func namesOf(_ context.Context, i *invocation) (Manager, []vps.Name, error) {
	_, takesAll := i.Verb.Option("all")
	all := takesAll && i.Is("all")
	switch {
	case all && len(i.Words) > 0:
		return nil, nil, usageError("%s: --all and names: one or the other", i.Verb.Name)
	case !all && len(i.Words) == 0 && takesAll:
		return nil, nil, usageError("%s: no NAME given, nor --all", i.Verb.Name)
	case !all && len(i.Words) == 0:
		return nil, nil, usageError("%s: no NAME given", i.Verb.Name)
	}
	if i.Err != nil {
		return nil, nil, i.Err
	}
	names, err := parseNames(i.Words)
	if err != nil {
		return nil, nil, err
	}
	m, err := i.manager()
	if err == nil && all {
		names, err = m.Names()
	}
	return m, names, err
}

// parseNames reads names of VPSs.
func parseNames(words []string) ([]vps.Name, error) {
	var names []vps.Name
	for _, w := range words {
		name, err := vps.ParseName(w)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// forOne is forEach for a verb that takes one name.
func forOne(ctx context.Context, i *invocation, act string, do nameFunc) error {
	if _, err := i.One("NAME"); err != nil {
		return err
	}
	m, names, err := namesOf(ctx, i)
	if err != nil {
		return err
	}
	return cannot(act, string(names[0]), do(ctx, m, names[0]))
}

// exited turns how a command inside ended into an error that makes it croft's
// exit status.
func exited(code int, err error) error {
	if err != nil || code == 0 {
		return err
	}
	return status(code)
}
