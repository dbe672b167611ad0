package command

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"sync"

	"croft/cli/display"
	"croft/internal/vps"
)

// A NameFunc does something to one VPS.
type NameFunc func(ctx context.Context, m Manager, name vps.Name) error

// ForEach calls do for each VPS on the line, or with --all for every VPS. It
// prints each error, as "NAME: cannot ACT: …", and continues with the next VPS.
// The first error becomes the exit status.
func ForEach(ctx context.Context, i *Invocation, act string, do NameFunc) error {
	m, names, err := NamesOf(ctx, i)
	if err != nil {
		return err
	}
	return TryEach(ctx, i, names, act, func(name vps.Name) error { return do(ctx, m, name) })
}

// StopsAtOnce limits the VPSs that stop at the same time. A stop mostly waits.
const StopsAtOnce = 32

// StartsAtOnce limits the VPSs that start at the same time. A start needs CPU time.
func StartsAtOnce() int { return max(4, 2*goruntime.NumCPU()) }

// ForEachAtOnce is ForEach for limit VPSs at the same time. It prints each error
// at once. The error of the first VPS in the order of the names becomes the exit
// status. Once ctx is done, it starts no further VPS. On a terminal it shows the
// number of finished VPSs.
func ForEachAtOnce(ctx context.Context, i *Invocation, limit int, act string, do NameFunc) error {
	m, names, err := NamesOf(ctx, i)
	if err != nil {
		return err
	}
	if len(names) == 1 {
		return TryEach(ctx, i, names, act, func(name vps.Name) error { return do(ctx, m, name) })
	}
	managers := []Manager{m}
	if i.AtOnce > 0 {
		limit = i.AtOnce
	}
	for len(managers) < min(limit, len(names)) {
		m, err := i.Manager() // each has its own connections to the network of the host
		if err != nil {
			return err
		}
		managers = append(managers, m)
	}
	return AtOnce(ctx, i, managers, names, act, do)
}

// AtOnce is ForEachAtOnce with a Manager for each VPS at the same time.
func AtOnce(ctx context.Context, i *Invocation, managers []Manager, names []vps.Name, act string, do NameFunc) error {
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
	i      *Invocation
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
	err = Cannot(b.act, string(b.names[n]), err)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done++
	b.failed[n] = err
	if err != nil && ctx.Err() == nil {
		b.i.Report(b.i.Path, err)
		b.failed[n] = Reported{Err: err}
	}
	if s := b.i.Screen; s.OnTerminal() && b.done < len(b.names) {
		s.Progress(display.Stage{Step: fmt.Sprintf("%s: %d of %d done", b.act, b.done, len(b.names))})
	}
}

// result returns the first error in the order of the names.
func (b *batch) result(ctx context.Context) error {
	b.i.Screen.Clear()
	var first error
	for _, err := range b.failed {
		var printed Reported
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

// TryEach calls do for each name, prints its errors, and returns the first
// error. Once ctx is done, it tries no further name.
func TryEach[N ~string](ctx context.Context, i *Invocation, names []N, act string, do func(name N) error) error {
	var first error
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := Cannot(act, string(name), do(name))
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return err
		}
		i.Report(i.Path, err)
		if first == nil {
			first = Reported{Err: err}
		}
	}
	return first
}

// NamesOf returns the Manager and the names of the VPSs that a command is for.
func NamesOf(_ context.Context, i *Invocation) (Manager, []vps.Name, error) {
	_, takesAll := i.Verb.Option("all")
	all := takesAll && i.Is("all")
	switch {
	case all && len(i.Words) > 0:
		return nil, nil, UsageError("%s: --all and names: one or the other", i.Verb.Name)
	case !all && len(i.Words) == 0 && takesAll:
		return nil, nil, UsageError("%s: no NAME given, nor --all", i.Verb.Name)
	case !all && len(i.Words) == 0:
		return nil, nil, UsageError("%s: no NAME given", i.Verb.Name)
	}
	if i.Err != nil {
		return nil, nil, i.Err
	}
	names, err := ParseNames(i.Words)
	if err != nil {
		return nil, nil, err
	}
	m, err := i.Manager()
	switch {
	case err == nil && all && i.OnlyHere:
		names, err = m.NamesHere()
	case err == nil && all:
		names, err = m.Names()
	}
	return m, names, err
}

// ParseNames reads names of VPSs.
func ParseNames(words []string) ([]vps.Name, error) {
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

// ForOne is ForEach for a verb that takes one name.
func ForOne(ctx context.Context, i *Invocation, act string, do NameFunc) error {
	if _, err := i.One("NAME"); err != nil {
		return err
	}
	m, names, err := NamesOf(ctx, i)
	if err != nil {
		return err
	}
	return Cannot(act, string(names[0]), do(ctx, m, names[0]))
}

// Exited turns how a command inside ended into an error that makes it croft's
// exit status.
func Exited(code int, err error) error {
	if err != nil || code == 0 {
		return err
	}
	return Status(code)
}
