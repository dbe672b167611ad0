package main

import (
	"context"
)

// vps creates a VPS, and returns its name and what destroys it.
func (b *bench) vps(ctx context.Context, template string, options ...string) (string, func(context.Context) error, error) {
	if _, err := b.files(template); err != nil {
		return "", nil, err
	}
	name := b.next("vps")
	args := append([]string{"create", "--template", template}, options...)
	if err := b.quietly(ctx, b.croftArgs(append(args, name)...)...); err != nil {
		return "", nil, err
	}
	return name, func(ctx context.Context) error {
		return b.quietly(ctx, b.croftArgs("destroy", "--force", name)...)
	}, nil
}

// running is a VPS that has booted.
func (b *bench) running(ctx context.Context, template string, options ...string) (string, func(context.Context) error, error) {
	name, close, err := b.vps(ctx, template, options...)
	if err != nil {
		return "", nil, err
	}
	if err := b.quietly(ctx, b.croftArgs("start", "--wait", name)...); err != nil {
		close(ctx)
		return "", nil, err
	}
	return name, close, nil
}

// croftStart measures starts of one VPS until its init runs.
func croftStart(options ...string) side {
	return side{"croft", func(ctx context.Context, b *bench) (runner, error) {
		name, close, err := b.vps(ctx, busybox, options...)
		if err != nil {
			return runner{}, err
		}
		return runner{b.measured(nil, b.croftArgs("start", name), b.croftArgs("kill", name)), close}, nil
	}}
}

func croftExec() side {
	return side{"croft", func(ctx context.Context, b *bench) (runner, error) {
		name, close, err := b.running(ctx, busybox)
		if err != nil {
			return runner{}, err
		}
		return runner{b.measured(nil, b.croftArgs("exec", name, "true"), nil), close}, nil
	}}
}

func croftRun(options ...string) side {
	return side{"croft", func(ctx context.Context, b *bench) (runner, error) {
		args := append([]string{"run", "--rm", "--template", busybox}, options...)
		return runner{b.measured(nil, b.croftArgs(append(args, "--", "true")...), nil), nil}, nil
	}}
}

func croftCreate() side {
	return side{"croft", func(ctx context.Context, b *bench) (runner, error) {
		name := b.next("created")
		return runner{b.measured(nil, b.croftArgs("create", "--template", busybox, name), b.croftArgs("destroy", name)), nil}, nil
	}}
}

func croftDestroy() side {
	return side{"croft", func(ctx context.Context, b *bench) (runner, error) {
		name := b.next("destroyed")
		return runner{b.measured(b.croftArgs("create", "--template", busybox, name), b.croftArgs("destroy", name), nil), nil}, nil
	}}
}
