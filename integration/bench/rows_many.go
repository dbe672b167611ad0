package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"croft/integration/cgroups"
)

// vpss creates many VPSs.
func (b *bench) vpss(ctx context.Context, n int, options ...string) ([]string, func(context.Context) error, error) {
	var names []string
	var all []func(context.Context) error
	for range n {
		name, close, err := b.vps(ctx, busybox, options...)
		if err != nil {
			return nil, closeAll(all), err
		}
		names, all = append(names, name), append(all, close)
	}
	return names, closeAll(all), nil
}

func (b *bench) each(ctx context.Context, command string, names []string) error {
	return b.quietly(ctx, append(b.croftArgs(command), names...)...)
}

// startMany measures starts one after the other: the first and the last tenth of many.
func startMany(ctx context.Context, b *bench) (together, error) {
	names, close, err := b.vpss(ctx, b.VPSs)
	return together{func(ctx context.Context) ([]sample, error) {
		var all []sample
		for _, name := range names {
			s, err := timed(func() error { return b.quietly(ctx, b.croftArgs("start", name)...) })
			if err != nil {
				return nil, errors.Join(err, b.each(ctx, "kill", names))
			}
			all = append(all, s)
		}
		tenth := max(1, len(all)/10)
		return []sample{mean(all[len(all)-tenth:]), mean(all[:tenth])}, b.each(ctx, "kill", names)
	}, close}, err
}

// mean returns the mean of samples.
func mean(samples []sample) sample {
	var m sample
	for _, s := range samples {
		m.Wall += s.Wall / time.Duration(len(samples))
		m.CPU += s.CPU / time.Duration(len(samples))
		m.Bytes += s.Bytes / float64(len(samples))
	}
	return m
}

// stopMany measures a stop of all, and of one.
func stopMany(ctx context.Context, b *bench) (together, error) {
	names, close, err := b.vpss(ctx, b.VPSs)
	return together{func(ctx context.Context) ([]sample, error) {
		if err := b.each(ctx, "start", names); err != nil {
			return nil, err
		}
		one, err := timed(func() error { return b.each(ctx, "stop", names[:1]) })
		if err == nil {
			err = b.each(ctx, "start", names[:1])
		}
		if err != nil {
			return nil, errors.Join(err, b.each(ctx, "kill", names))
		}
		all, err := timed(func() error { return b.quietly(ctx, b.croftArgs("stop", "--all")...) })
		return []sample{all, one}, err
	}, close}, err
}

func croftList() side {
	return side{"croft", func(ctx context.Context, b *bench) (runner, error) {
		names, close, err := b.vpss(ctx, b.VPSs)
		if err == nil {
			err = b.each(ctx, "start", names)
		}
		return runner{b.measured(nil, b.croftArgs("list", "--json"), nil), close}, err
	}}
}

// podmans creates many containers of Podman.
func (b *bench) podmans(ctx context.Context) ([]string, func(context.Context) error, error) {
	if err := b.podman(ctx); err != nil {
		return nil, nil, err
	}
	var names []string
	close := func(ctx context.Context) error {
		return b.quietly(ctx, append(b.podmanArgs("rm", "--force", "--time", "0", "--ignore"), names...)...)
	}
	for range b.VPSs {
		name := b.next("podman")
		if err := b.quietly(ctx, b.podmanCreate(name, "/sbin/init")...); err != nil {
			return names, close, err
		}
		names = append(names, name)
	}
	return names, close, nil
}

func podmanList() side {
	return side{"podman", func(ctx context.Context, b *bench) (runner, error) {
		names, close, err := b.podmans(ctx)
		if err == nil {
			err = b.quietly(ctx, append(b.podmanArgs("start"), names...)...)
		}
		return runner{b.measured(nil, b.podmanArgs("ps", "--format", "json"), nil), close}, err
	}}
}

// memory returns the memory of the box that the kernel cannot take back: without cached files.
func memory() (float64, error) {
	for _, at := range []struct{ dir, usage, prefix string }{
		{"memory", "memory.usage_in_bytes", "total_"}, {"", "memory.current", ""},
	} {
		dir := filepath.Join(cgroups.Root, at.dir)
		text, err := os.ReadFile(filepath.Join(dir, at.usage))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		usage, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
		if err != nil {
			return 0, err
		}
		stat, err := os.ReadFile(filepath.Join(dir, "memory.stat"))
		return usage - cached(string(stat), at.prefix), err
	}
	return 0, fmt.Errorf("%s does not tell the memory of a cgroup", cgroups.Root)
}

// cached returns the bytes of cached files in a memory.stat, whose names of sums have a prefix.
func cached(stat, prefix string) float64 {
	sum := 0.0
	for line := range strings.Lines(stat) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == prefix+"active_file" || name == prefix+"inactive_file" {
			n, _ := strconv.ParseFloat(value, 64)
			sum += n
		}
	}
	return sum
}

// occupied is a turn that measures the memory of each of many, between a command that starts them and one that ends them.
func (b *bench) occupied(start, end func(context.Context) error) func(context.Context) (sample, error) {
	return func(ctx context.Context) (sample, error) {
		if err := settle(); err != nil {
			return sample{}, err
		}
		before, err := memory()
		if err != nil {
			return sample{}, err
		}
		if err := start(ctx); err != nil {
			return sample{}, errors.Join(err, end(ctx))
		}
		if err := settle(); err != nil {
			return sample{}, err
		}
		after, err := memory()
		return sample{Bytes: (after - before) / float64(b.VPSs)}, errors.Join(err, end(ctx))
	}
}

func croftMemory() side {
	return side{"croft", func(ctx context.Context, b *bench) (runner, error) {
		names, close, err := b.vpss(ctx, b.VPSs)
		return runner{b.occupied(
			func(ctx context.Context) error { return b.each(ctx, "start", names) },
			func(ctx context.Context) error { return b.each(ctx, "kill", names) },
		), close}, err
	}}
}

func podmanMemory() side {
	return side{"podman", func(ctx context.Context, b *bench) (runner, error) {
		names, close, err := b.podmans(ctx)
		return runner{b.occupied(
			func(ctx context.Context) error { return b.quietly(ctx, append(b.podmanArgs("start"), names...)...) },
			func(ctx context.Context) error {
				return b.quietly(ctx, append(b.podmanArgs("stop", "--time", "0"), names...)...)
			},
		), close}, err
	}}
}

// lxcMemory is LXC with a user namespace and a network.
func lxcMemory() side {
	return side{"lxc", func(ctx context.Context, b *bench) (runner, error) {
		var names []string
		var all []func(context.Context) error
		for range b.VPSs {
			name, close, err := b.lxc(ctx, busybox+shifted, "lxc.net.0.type = veth", "lxc.net.0.link = "+lxcBridge, "lxc.net.0.flags = up")
			if close != nil {
				all = append(all, close)
			}
			if err != nil {
				return runner{close: closeAll(all)}, err
			}
			names = append(names, name)
		}
		forEach := func(program string, args ...string) func(context.Context) error {
			return func(ctx context.Context) error {
				var errs []error
				for _, name := range names {
					errs = append(errs, b.quietly(ctx, b.lxcArgs(program, name, args...)...))
				}
				return errors.Join(errs...)
			}
		}
		return runner{b.occupied(forEach("lxc-start"), forEach("lxc-stop", "--kill")), closeAll(all)}, nil
	}}
}

func (b *bench) manyRows() []row {
	return []row{
		{
			name:     "many-start",
			what:     "starts of VPSs one after the other: the mean of the last tenth against that of the first tenth (-vpss says how many)",
			peers:    []string{"croft, last", "croft, first"},
			together: startMany,
		}, {
			name:     "many-stop",
			what:     "stop --all of running VPSs against stop of one; busybox's init waits 2 s",
			peers:    []string{"croft, all", "croft, one"},
			together: stopMany,
		}, {
			name:  "many-list",
			what:  "list --json with all VPSs running, against podman ps --format json",
			sides: []side{croftList(), podmanList()},
		}, {
			name:  "memory",
			what:  "memory of each running busybox VPS in the cgroups of the box: its processes and its monitor, and what the kernel keeps for them, without cached files",
			sides: []side{croftMemory(), lxcMemory(), podmanMemory()},
		},
	}
}
