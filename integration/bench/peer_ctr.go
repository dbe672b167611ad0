package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// ctrArgs is ctr with arguments, for the containerd of the box.
func (b *bench) ctrArgs(args ...string) []string {
	return append([]string{"ctr", "--address", containerdSocket}, args...)
}

const containerdSocket = "/run/bench-containerd.sock"

// containerd starts containerd, and returns when it answers.
func (b *bench) containerd(ctx context.Context) (func(context.Context) error, error) {
	for _, program := range []string{"containerd", "ctr"} {
		if err := needs(program, "containerd"); err != nil {
			return nil, err
		}
	}
	// Without the plugin for Kubernetes, which wants a configured network.
	config, err := b.write("containerd.toml", fmt.Sprintf(
		"version = 2\nroot = %q\nstate = \"/run/bench-containerd\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n",
		b.at("containerd"), containerdSocket))
	if err != nil {
		return nil, err
	}
	log, err := os.Create(b.at("containerd.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := b.command(context.Background(), "containerd", "--config", config)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	close := func(context.Context) error {
		cmd.Process.Signal(os.Interrupt)
		timer := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		defer timer.Stop()
		if err := cmd.Wait(); err != nil {
			if _, ended := err.(*exec.ExitError); !ended {
				return err
			}
		}
		return nil
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if err = b.quietly(ctx, b.ctrArgs("version")...); err == nil {
			return close, nil
		}
		if time.Now().After(end) {
			text, _ := os.ReadFile(log.Name())
			close(ctx)
			return nil, fmt.Errorf("containerd does not answer: %w: %s", err, tail(string(text)))
		}
	}
}

// ctr is a side of containerd. open gets the options and the root filesystem of a container.
func ctr(open func(ctx context.Context, b *bench, id string, container []string) (runner, error)) side {
	return side{"containerd (ctr)", func(ctx context.Context, b *bench) (runner, error) {
		closeDaemon, err := b.containerd(ctx)
		if err != nil {
			return runner{}, err
		}
		all := []func(context.Context) error{closeDaemon}
		root, closeFiles, err := b.rootfs(busybox)
		if err != nil {
			return runner{close: closeAll(all)}, err
		}
		id := b.next("ctr")
		r, err := open(ctx, b, id, []string{"--null-io", "--rootfs", root, id})
		r.close = closeAll(append(all, closeFiles, func(ctx context.Context) error {
			b.quietly(ctx, b.ctrArgs("task", "delete", "--force", id)...) // it may be gone
			b.quietly(ctx, b.ctrArgs("container", "delete", id)...)
			return nil
		}))
		return r, err
	}}
}

func ctrRun() side {
	return ctr(func(ctx context.Context, b *bench, id string, container []string) (runner, error) {
		args := append(b.ctrArgs("run", "--rm"), container...)
		return runner{turn: b.measured(nil, append(args, "/bin/true"), nil)}, nil
	})
}

func ctrExec() side {
	return ctr(func(ctx context.Context, b *bench, id string, container []string) (runner, error) {
		args := append(b.ctrArgs("run", "--detach"), container...)
		err := b.quietly(ctx, append(args, "/sbin/init")...)
		return runner{turn: b.measured(nil, b.ctrArgs("task", "exec", "--exec-id", "one", id, "/bin/true"), nil)}, err
	})
}
