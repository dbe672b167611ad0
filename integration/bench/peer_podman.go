package main

import (
	"context"
	"os"
)

// podmanArgs is Podman with arguments, with everything that it keeps in the box. It has no
// systemd to ask for cgroups.
func (b *bench) podmanArgs(args ...string) []string {
	return append([]string{
		"podman", "--root", b.at("podman/store"), "--runroot", "/run/podman", "--tmpdir", "/run/podman-tmp",
		"--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "file",
		"--network-config-dir", b.at("podman/networks"),
	}, args...)
}

// podman makes sure that Podman has an image with the files of busybox.
func (b *bench) podman(ctx context.Context) error {
	if err := needs("podman", "podman"); err != nil {
		return err
	}
	if b.quietly(ctx, b.podmanArgs("image", "exists", busybox)...) == nil {
		return nil
	}
	dir, err := b.files(busybox)
	if err != nil {
		return err
	}
	archive := b.at("podman.tar")
	defer os.Remove(archive)
	if err := b.quietly(ctx, "tar", "--create", "--numeric-owner", "-f", archive, "-C", dir, "."); err != nil {
		return err
	}
	return b.quietly(ctx, b.podmanArgs("import", archive, busybox)...)
}

// podmanOptions are those of every container. conmon's cgroup would be one of every
// controller, even of those that a host with version 1 does not have.
func (b *bench) podmanOptions() []string {
	return []string{"--cgroups", "no-conmon", "--cgroup-parent", "/bench-podman"}
}

func (b *bench) podmanCreate(name string, args ...string) []string {
	all := append(b.podmanArgs("create", "--name", name), b.podmanOptions()...)
	return append(append(all, busybox), args...)
}

func podman(open func(ctx context.Context, b *bench, name string) (runner, error)) side {
	return side{"podman", func(ctx context.Context, b *bench) (runner, error) {
		if err := b.podman(ctx); err != nil {
			return runner{}, err
		}
		name := b.next("podman")
		r, err := open(ctx, b, name)
		r.close = func(ctx context.Context) error {
			return b.quietly(ctx, b.podmanArgs("rm", "--force", "--time", "0", "--ignore", name)...)
		}
		return r, err
	}}
}

func podmanStart() side {
	return podman(func(ctx context.Context, b *bench, name string) (runner, error) {
		err := b.quietly(ctx, b.podmanCreate(name, "/sbin/init")...)
		return runner{turn: b.measured(nil, b.podmanArgs("start", name), b.podmanArgs("stop", "--time", "0", name))}, err
	})
}

func podmanExec() side {
	return podman(func(ctx context.Context, b *bench, name string) (runner, error) {
		err := b.quietly(ctx, b.podmanCreate(name, "/sbin/init")...)
		if err == nil {
			err = b.quietly(ctx, b.podmanArgs("start", name)...)
		}
		return runner{turn: b.measured(nil, b.podmanArgs("exec", name, "true"), nil)}, err
	})
}

func podmanRun() side {
	return podman(func(ctx context.Context, b *bench, name string) (runner, error) {
		args := append(b.podmanArgs("run", "--rm"), b.podmanOptions()...)
		return runner{turn: b.measured(nil, append(args, busybox, "true"), nil)}, nil
	})
}

func podmanCreates() side {
	return podman(func(ctx context.Context, b *bench, name string) (runner, error) {
		return runner{turn: b.measured(nil, b.podmanCreate(name, "true"), b.podmanArgs("rm", name))}, nil
	})
}

func podmanRemoves() side {
	return podman(func(ctx context.Context, b *bench, name string) (runner, error) {
		return runner{turn: b.measured(b.podmanCreate(name, "true"), b.podmanArgs("rm", name), nil)}, nil
	})
}
