package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// A loader is a load that runs somewhere.
type loader struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	raw io.Closer   // where out comes from
	out chan string // lines; closed when there are no more
	err *os.File
}

// start runs a load by a command that passes stdin and stdout on, and returns when the load is ready.
func (b *bench) start(args []string, load ...string) (*loader, error) {
	return b.talk(append(append(args, loadWord), load...))
}

// talk runs what speaks as a load does.
func (b *bench) talk(args []string) (*loader, error) {
	l := &loader{cmd: b.command(context.Background(), args...), out: make(chan string)}
	var err error
	if l.err, err = os.CreateTemp(b.Dir, "load"); err != nil {
		return nil, err
	}
	l.cmd.Stderr = l.err
	if l.in, err = l.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	l.raw = out
	if err := l.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", spell(args), err)
	}
	go func() {
		defer close(l.out)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			l.out <- lines.Text()
		}
	}()
	if err := l.expect("ready"); err != nil {
		l.close(context.Background())
		return nil, err
	}
	return l, nil
}

// expect waits for a line.
func (l *loader) expect(want string) error {
	select {
	case line, ok := <-l.out:
		if ok && line == want {
			return nil
		}
		text, _ := os.ReadFile(l.err.Name())
		return fmt.Errorf("%s: no %q but %q: %s", spell(l.cmd.Args), want, line, tail(string(text)))
	case <-time.After(patience):
		return fmt.Errorf("%s: no %q within %v", spell(l.cmd.Args), want, patience)
	}
}

// turn measures the work of the load, once.
func (l *loader) turn(context.Context) (sample, error) {
	return timed(func() error {
		if _, err := io.WriteString(l.in, "\n"); err != nil {
			return err
		}
		return l.expect("done")
	})
}

// close ends the load.
func (l *loader) close(context.Context) error {
	l.in.Close()
	timer := time.AfterFunc(10*time.Second, func() {
		l.cmd.Process.Kill()
		l.raw.Close() // something that it has started may hold the other end
	})
	defer timer.Stop()
	for range l.out {
	}
	err := l.cmd.Wait()
	l.err.Close()
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(l.cmd.Args[:1], ""), err)
	}
	return os.Remove(l.err.Name())
}
