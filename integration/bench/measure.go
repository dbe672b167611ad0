package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"croft/integration/cgroups"
)

// cpuTime returns the CPU time of all processes of the box, those that have ended included.
func cpuTime() (time.Duration, error) {
	for _, dir := range []string{"cpuacct", "cpu,cpuacct"} {
		text, err := os.ReadFile(filepath.Join(cgroups.Root, dir, "cpuacct.usage"))
		if err == nil {
			n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
			return time.Duration(n), err
		}
	}
	text, err := os.ReadFile(filepath.Join(cgroups.Root, "cpu.stat"))
	if err != nil {
		return 0, fmt.Errorf("read the CPU time: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "usage_usec" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return time.Duration(n) * time.Microsecond, err
		}
	}
	return 0, fmt.Errorf("read the CPU time: %s/cpu.stat has none", cgroups.Root)
}

// timed returns what f took. It begins when the box is quiet: what the turn before has left
// running would be counted otherwise.
func timed(f func() error) (sample, error) {
	if err := settle(); err != nil {
		return sample{}, err
	}
	before, err := cpuTime()
	if err != nil {
		return sample{}, err
	}
	start := time.Now()
	err = f()
	wall := time.Since(start)
	if err != nil {
		return sample{}, err
	}
	after, err := cpuTime()
	return sample{Wall: wall, CPU: after - before}, err
}

// settle waits until the box uses less than a hundredth of a CPU, for 3 seconds at most.
func settle() error {
	const pause = 30 * time.Millisecond
	before, err := cpuTime()
	for end := time.Now().Add(3 * time.Second); err == nil && time.Now().Before(end); {
		time.Sleep(pause)
		var now time.Duration
		now, err = cpuTime()
		if now-before < pause/100 {
			break
		}
		before = now
	}
	return err
}

// command is a program with arguments, in an environment that is the same for all.
func (b *bench) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = b.env
	cmd.Dir = b.Dir
	cmd.WaitDelay = 10 * time.Second // a process left behind may hold the pipes
	return cmd
}

// run runs a program until it ends, and returns what it printed. The error has what it says on stderr.
func (b *bench) run(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var out, errOut bytes.Buffer
	cmd := b.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", spell(args), err, tail(errOut.String()+out.String()))
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// patience is how long any command may take.
const patience = 5 * time.Minute

// quietly runs a program until it ends. What it starts may keep its stdout, so it gets files for that and for stderr.
func (b *bench) quietly(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	errOut, err := os.OpenFile(filepath.Join(b.Dir, "stderr"), os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer errOut.Close()
	cmd := b.command(ctx, args...)
	cmd.Stderr = errOut
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(errOut.Name())
		return fmt.Errorf("%s: %w: %s", spell(args), err, tail(string(text)))
	}
	return nil
}

// spell names a command in an error: the program, and its last arguments.
func spell(args []string) string {
	if len(args) > 4 {
		args = append([]string{args[0], "…"}, args[len(args)-3:]...)
	}
	return filepath.Base(args[0]) + " " + strings.Join(args[1:], " ")
}

func tail(s string) string {
	const most = 300
	if s = strings.TrimSpace(s); len(s) > most {
		s = "…" + strings.ToValidUTF8(s[len(s)-most:], "")
	}
	return s
}

// measured returns a turn that takes the time of a command, between others that do not count.
func (b *bench) measured(before, what, after []string) func(context.Context) (sample, error) {
	return func(ctx context.Context) (sample, error) {
		if before != nil {
			if err := b.quietly(ctx, before...); err != nil {
				return sample{}, err
			}
		}
		s, err := timed(func() error { return b.quietly(ctx, what...) })
		if after != nil {
			if afterErr := b.quietly(ctx, after...); err == nil {
				err = afterErr
			}
		}
		return s, err
	}
}
