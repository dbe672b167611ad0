package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// debian is the template that boots with systemd.
const debian = "debian-12"

// A notice is a socket that the systemd of a container tells when it has booted: sd_notify(3).
type notice struct {
	dir  string // of the socket, to be mounted in the container
	conn *net.UnixConn
}

func (b *bench) notice() (notice, error) {
	n := notice{dir: b.at(b.next("notify"))}
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return n, err
	}
	var err error
	n.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: n.socket(), Net: "unixgram"})
	if err == nil {
		err = os.Chmod(n.socket(), 0o666)
	}
	return n, err
}

func (n notice) socket() string { return n.dir + "/socket" }

// forget takes what has been said already.
func (n notice) forget() error {
	for {
		if err := n.conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			return err
		}
		if _, err := n.conn.Read(make([]byte, 4096)); err != nil {
			return nil // nothing more
		}
	}
}

// wait returns when READY=1 was said.
func (n notice) wait() error {
	if err := n.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	buffer := make([]byte, 4096)
	for {
		length, err := n.conn.Read(buffer)
		if err != nil {
			return fmt.Errorf("it has not said that it has booted: %w", err)
		}
		for line := range strings.Lines(string(buffer[:length])) {
			if strings.TrimSpace(line) == "READY=1" {
				return nil
			}
		}
	}
}

func croftBoot() side {
	return side{"croft", func(ctx context.Context, b *bench) (runner, error) {
		name, close, err := b.vps(ctx, debian)
		return runner{b.measured(nil, b.croftArgs("start", "--wait", name), b.croftArgs("kill", name)), close}, err
	}}
}

func lxcBoot() side {
	return side{"lxc", func(ctx context.Context, b *bench) (runner, error) {
		n, err := b.notice()
		if err != nil {
			return runner{}, err
		}
		const inside = "croft-bench-notify"
		settings := append(lxcWithNetwork(),
			"lxc.mount.entry = "+n.dir+" "+inside+" none bind,create=dir", "lxc.environment = NOTIFY_SOCKET=/"+inside+"/socket")
		name, close, err := b.lxc(ctx, debian, settings...)
		return runner{func(ctx context.Context) (sample, error) {
			if err := n.forget(); err != nil {
				return sample{}, err
			}
			s, err := timed(func() error {
				if err := b.quietly(ctx, b.lxcArgs("lxc-start", name)...); err != nil {
					return err
				}
				return n.wait()
			})
			b.quietly(ctx, b.lxcArgs("lxc-stop", name, "--kill")...) // it may not run
			return s, err
		}, close}, err
	}}
}

func nspawnBoot() side {
	return side{"systemd-nspawn --boot", func(ctx context.Context, b *bench) (runner, error) {
		if err := needs("systemd-nspawn", "systemd-container"); err != nil {
			return runner{}, err
		}
		n, err := b.notice()
		if err != nil {
			return runner{}, err
		}
		root, close, err := b.rootfs(debian)
		return runner{func(ctx context.Context) (sample, error) { return b.nspawnBoots(ctx, root, n) }, close}, err
	}}
}

// nspawnBoots starts systemd-nspawn, which passes on what the systemd inside says, and kills it: its
// container dies with it.
func (b *bench) nspawnBoots(ctx context.Context, root string, n notice) (sample, error) {
	out, err := os.CreateTemp(b.Dir, "nspawn")
	if err != nil {
		return sample{}, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd := b.command(ctx, nspawnArgs(root, "--boot", "--notify-ready=yes")...)
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+n.socket())
	cmd.Stdout, cmd.Stderr = out, out
	if err := n.forget(); err != nil {
		return sample{}, err
	}
	var ended chan error
	s, err := timed(func() error {
		if err := cmd.Start(); err != nil {
			return err
		}
		ended = make(chan error, 1)
		ready := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		go func() { ready <- n.wait() }()
		select {
		case err := <-ready:
			return err
		case err := <-ended:
			ended <- err
			n.conn.SetReadDeadline(time.Now())
			text, _ := os.ReadFile(out.Name())
			return fmt.Errorf("%s: %v: %s", spell(cmd.Args), err, tail(string(text)))
		}
	})
	if ended != nil {
		cmd.Process.Kill()
		<-ended
	}
	return s, err
}

func (b *bench) debianRows() []row {
	return []row{{
		name:  "debian",
		what:  "start of Debian 12 until its systemd has booted; LXC and systemd-nspawn: the same files without a user namespace, systemd-nspawn without a network",
		sides: []side{croftBoot(), lxcBoot(), nspawnBoot()},
	}}
}
