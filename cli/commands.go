package cli

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"sync"

	"croft/internal/fail"
)

// commands is the whole command line: the options that every command takes,
// and the commands in the order in which help lists them.
func (a *app) commands() *verb {
	return &verb{
		name:    "croft",
		summary: "run virtual private servers out of Linux containers",
		options: []option{
			{name: "root", placeholder: "DIR", usage: "directory of VPSs, templates and networks (CROFT_ROOT; default: /var/lib/croft)"},
			{name: "run-dir", placeholder: "DIR", usage: "directory of runtime state, cleared at reboot (CROFT_RUN_DIR; default: /run/croft)"},
			{
				name: "cgroup-manager", placeholder: "MANAGER", choices: cgroupManagers(),
				usage: "cgroup manager: auto, systemd or cgroupfs (CROFT_CGROUP_MANAGER; default: auto)",
			},
			{name: "lock-timeout", placeholder: "TIME", usage: "how long to wait for a VPS that another command is changing (default: 0)"},
			{name: "debug", usage: "print each step, and the causes of an error, on stderr"},
			{name: "help", short: "h", usage: "show help for the command"},
		},
		verbs: []*verb{
			createVerb(), startVerb(), stopVerb(), restartVerb(), killVerb(), pauseVerb(), resumeVerb(), destroyVerb(), runVerb(),
			execVerb(), enterVerb(), consoleVerb(), mountVerb(), umountVerb(),
			listVerb(), statusVerb(), inspectVerb(), statsVerb(), topVerb(), logsVerb(), waitVerb(),
			setVerb(), renameVerb(), firewallVerb(), routeVerb(), publishVerb(),
			templateVerb(), networkVerb(),
			hostVerb(), ociVerb(),
			versionVerb(), completionVerb(), manVerb(), helpVerb(),
		},
	}
}

// The headings in the list of commands, in its order.
const (
	groupLife   = "Lifecycle"
	groupInside = "Access"
	groupLook   = "Inspect"
	groupChange = "Configure"
	groupImages = "Templates"
	groupNets   = "Networks"
	groupHost   = "Host"
	groupShell  = "Shell"
)

// A nameFunc does something to one VPS.
type nameFunc func(ctx context.Context, m Manager, name string) error

// allOption is --all of the verbs that take several names.
func allOption(what string) option {
	return option{name: "all", short: "a", usage: what + " every VPS"}
}

// forEach calls do for each VPS that was named, or with --all for every one.
// Each is tried, whatever becomes of the others: an error is printed, as
// "NAME: cannot ACT: …", and the first makes the exit status.
func forEach(ctx context.Context, i *invocation, act string, do nameFunc) error {
	m, names, err := namesOf(ctx, i)
	if err != nil {
		return err
	}
	return tryEach(ctx, i, names, act, func(name string) error { return do(ctx, m, name) })
}

// How many VPSs a command works on at the same time. Most of a stop is waiting;
// a start takes CPU time too.
const stopsAtOnce = 32

func startsAtOnce() int { return max(4, 2*goruntime.NumCPU()) }

// forEachAtOnce is forEach for limit VPSs at the same time. Each error is
// printed when it is known; that of the first VPS in the order of the names
// makes the exit status. Once ctx is done no other VPS is begun. On a terminal
// a line says how many are done.
func forEachAtOnce(ctx context.Context, i *invocation, limit int, act string, do nameFunc) error {
	m, names, err := namesOf(ctx, i)
	if err != nil {
		return err
	}
	if len(names) == 1 {
		return tryEach(ctx, i, names, act, func(name string) error { return do(ctx, m, name) })
	}
	managers := []Manager{m}
	if i.atOnce > 0 {
		limit = i.atOnce
	}
	for len(managers) < min(limit, len(names)) {
		m, err := i.manager() // each has connections of its own to the host's network
		if err != nil {
			return err
		}
		managers = append(managers, m)
	}
	return atOnce(ctx, i, managers, names, act, do)
}

// atOnce is forEachAtOnce with a Manager for each of those at the same time.
func atOnce(ctx context.Context, i *invocation, managers []Manager, names []string, act string, do nameFunc) error {
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
	names  []string
	failed []error // as names

	mu    sync.Mutex
	begun int
	done  int
}

// next is the index of the name whose turn it is, false once there is none.
func (b *batch) next(ctx context.Context) (int, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ctx.Err() != nil || b.begun == len(b.names) {
		return 0, false
	}
	b.begun++
	return b.begun - 1, true
}

// ended notes what became of the n-th VPS.
func (b *batch) ended(ctx context.Context, n int, err error) {
	err = cannot(b.act, b.names[n], err)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done++
	b.failed[n] = err
	if err != nil && ctx.Err() == nil {
		b.i.report(b.i.path, err)
		b.failed[n] = reported{err}
	}
	if s := b.i.screen; s.width > 0 && b.done < len(b.names) {
		s.progress(stage{Step: fmt.Sprintf("%s: %d of %d done", b.act, b.done, len(b.names))})
	}
}

// result is the first error in the order of the names.
func (b *batch) result(ctx context.Context) error {
	b.i.screen.clear()
	var first error
	for _, err := range b.failed {
		var printed reported
		if err != nil && ctx.Err() != nil && !errors.As(err, &printed) {
			return err // how what was interrupted ended
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

// tryEach calls do for each name, prints its errors, and returns the first of
// them. Once ctx is done nobody is tried any more.
func tryEach(ctx context.Context, i *invocation, names []string, act string, do func(name string) error) error {
	var first error
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := cannot(act, name, do(name))
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return err
		}
		i.report(i.path, err)
		if first == nil {
			first = reported{err}
		}
	}
	return first
}

// namesOf returns the Manager and the names of the VPSs that a command is for.
func namesOf(_ context.Context, i *invocation) (Manager, []string, error) {
	_, takesAll := i.verb.option("all")
	all := takesAll && i.flags.Bool("all")
	switch {
	case all && len(i.words) > 0:
		return nil, nil, usageError("%s: --all and names: one or the other", i.verb.name)
	case !all && len(i.words) == 0 && takesAll:
		return nil, nil, usageError("%s: no NAME given, nor --all", i.verb.name)
	case !all && len(i.words) == 0:
		return nil, nil, usageError("%s: no NAME given", i.verb.name)
	}
	if i.err != nil {
		return nil, nil, i.err
	}
	m, err := i.manager()
	if err != nil {
		return nil, nil, err
	}
	names, err := m.ResolveNames(all, i.words)
	return m, names, err
}

// forOne is forEach for a verb that takes one name.
func forOne(ctx context.Context, i *invocation, act string, do nameFunc) error {
	if _, err := i.one("NAME"); err != nil {
		return err
	}
	m, names, err := namesOf(ctx, i)
	if err != nil {
		return err
	}
	return cannot(act, names[0], do(ctx, m, names[0]))
}

// exited turns how a command inside ended into an error that makes it croft's
// exit status.
func exited(code int, err error) error {
	if err != nil || code == 0 {
		return err
	}
	return status(code)
}

// notBoth refuses two options that contradict each other.
func (i *invocation) notBoth(a, b string) {
	if i.err == nil && i.has(a) && i.has(b) {
		i.err = fail.New(fail.Usage, "--%s and --%s: one or the other", a, b)
	}
}

// onlyWith refuses an option that says nothing without another.
func (i *invocation) onlyWith(a, b string) {
	if i.err == nil && i.has(a) && !i.has(b) {
		i.err = fail.New(fail.Usage, "--%s: only with --%s", a, b)
	}
}
