package main

import (
	"context"
	"fmt"
	"strings"
)

// lxcBridge is the bridge of the containers of LXC.
const lxcBridge = "lxcbr0"

// lxc makes a container of LXC. Its directory has the configuration only.
func (b *bench) lxc(ctx context.Context, template string, settings ...string) (string, func(context.Context) error, error) {
	if err := needs("lxc-start", "lxc"); err != nil {
		return "", nil, err
	}
	root, close, err := b.rootfs(template)
	if err != nil {
		return "", nil, err
	}
	name := b.next("lxc")
	all := []string{"lxc.include = /usr/share/lxc/config/common.conf"}
	if strings.HasSuffix(template, shifted) {
		ids := fmt.Sprintf("0 %d 65536", idBase)
		all = append(all, "lxc.include = /usr/share/lxc/config/userns.conf", "lxc.idmap = u "+ids, "lxc.idmap = g "+ids)
	}
	all = append(all, "lxc.uts.name = "+name, "lxc.rootfs.path = dir:"+root)
	if _, err = b.write("lxc/"+name+"/config", strings.Join(append(all, settings...), "\n")+"\n"); err == nil {
		err = b.lxcNetwork(ctx)
	}
	return name, closeAll([]func(context.Context) error{close, func(ctx context.Context) error {
		b.quietly(ctx, b.lxcArgs("lxc-stop", name, "--kill")...) // it may not run
		return nil
	}}), err
}

func (b *bench) lxcArgs(program, name string, args ...string) []string {
	return append([]string{program, "--lxcpath", b.at("lxc"), "--name", name}, args...)
}

// lxcNetwork makes the bridge that lxc-net makes elsewhere.
func (b *bench) lxcNetwork(ctx context.Context) error {
	if b.quietly(ctx, "ip", "link", "show", lxcBridge) == nil {
		return nil
	}
	for _, line := range []string{
		"ip link add " + lxcBridge + " type bridge", "ip addr add 203.0.113.1/24 dev " + lxcBridge, "ip link set " + lxcBridge + " up",
	} {
		if err := b.quietly(ctx, strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}

// lxcWithNetwork are the settings of a container's network.
func lxcWithNetwork() []string {
	return []string{
		"lxc.net.0.type = veth", "lxc.net.0.link = " + lxcBridge, "lxc.net.0.flags = up",
		"lxc.net.0.ipv4.address = 203.0.113.2/24", "lxc.net.0.ipv4.gateway = 203.0.113.1",
	}
}

func lxcStart(settings ...string) side {
	return side{"lxc", func(ctx context.Context, b *bench) (runner, error) {
		name, close, err := b.lxc(ctx, busybox+shifted, settings...)
		return runner{b.measured(nil, b.lxcArgs("lxc-start", name), b.lxcArgs("lxc-stop", name, "--kill")), close}, err
	}}
}

func lxcExec() side {
	return side{"lxc-attach", func(ctx context.Context, b *bench) (runner, error) {
		name, close, err := b.lxc(ctx, busybox+shifted, "lxc.net.0.type = empty")
		if err == nil {
			err = b.quietly(ctx, b.lxcArgs("lxc-start", name)...)
		}
		return runner{b.measured(nil, b.lxcArgs("lxc-attach", name, "--", "true"), nil), close}, err
	}}
}

func lxcRun() side {
	return side{"lxc-execute", func(ctx context.Context, b *bench) (runner, error) {
		name, close, err := b.lxc(ctx, busybox+shifted, lxcWithNetwork()...)
		return runner{b.measured(nil, b.lxcArgs("lxc-execute", name, "--", "/bin/true"), nil), close}, err
	}}
}
