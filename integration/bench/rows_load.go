package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// inside is where the load program is in VPSs and containers.
const inside = "/croft-bench"

// loaded is a side whose turns are those of a load. where returns the command that runs the load program.
func loaded(peer string, where func(ctx context.Context, b *bench) (args []string, close func(context.Context) error, err error), load ...string) side {
	return side{peer, func(ctx context.Context, b *bench) (runner, error) {
		args, close, err := where(ctx, b)
		if err != nil {
			return runner{close: close}, err
		}
		var all []func(context.Context) error
		if close != nil {
			all = append(all, close)
		}
		l, err := b.start(args, load...)
		if err != nil {
			return runner{close: closeAll(all)}, err
		}
		return runner{l.turn, closeAll(append(all, l.close))}, nil
	}}
}

func inVPS(ctx context.Context, b *bench) ([]string, func(context.Context) error, error) {
	name, close, err := b.running(ctx, busybox)
	if err == nil {
		err = b.quietly(ctx, b.croftArgs("cp", b.Self, name+":"+inside)...)
	}
	return b.croftArgs("exec", name, "--", inside), close, err
}

func onHost(_ context.Context, b *bench) ([]string, func(context.Context) error, error) {
	return []string{b.Self}, nil, nil
}

func inPodman(ctx context.Context, b *bench) ([]string, func(context.Context) error, error) {
	if err := b.podman(ctx); err != nil {
		return nil, nil, err
	}
	name := b.next("podman")
	args := append(b.podmanArgs("run", "--rm", "--interactive", "--name", name, "--volume", b.Self+":"+inside+":ro"), b.podmanOptions()...)
	return append(args, busybox, inside), func(ctx context.Context) error {
		return b.quietly(ctx, b.podmanArgs("rm", "--force", "--time", "0", "--ignore", name)...)
	}, nil
}

func inRunc(ctx context.Context, b *bench) ([]string, func(context.Context) error, error) {
	k, close, err := b.bundle(ctx, "runc", "/sbin/init")
	if err == nil {
		err = copyProgram(b.Self, filepath.Join(k.root, inside))
	}
	if err == nil {
		err = b.quietly(ctx, k.args("run", "--detach", "--bundle", k.dir, k.id)...)
	}
	return k.args("exec", k.id, inside), close, err
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// files is a side that makes small files below a directory: of the host, it is one of the box.
func files(peer string, where func(context.Context, *bench) ([]string, func(context.Context) error, error), dir string) side {
	return side{peer, func(ctx context.Context, b *bench) (runner, error) {
		if dir == "" {
			dir = b.at("files")
		}
		return loaded(peer, where, "files", dir, "3000").open(ctx, b)
	}}
}

// A pair is two places with a network between them.
type pair struct {
	server, client []string // commands that run the load program there
	address        string   // of the server
	close          func(context.Context) error
}

// paired is a side with a server at one place and a load that talks to it at another.
func paired(peer string, make func(context.Context, *bench) (pair, error), load, amount string) side {
	return side{peer, func(ctx context.Context, b *bench) (runner, error) {
		p, err := make(ctx, b)
		if err != nil {
			return runner{close: p.close}, err
		}
		address := p.address + ":7007"
		server, err := b.start(p.server, "serve", address)
		if err != nil {
			return runner{close: p.close}, err
		}
		all := []func(context.Context) error{p.close, server.close}
		client, err := b.start(p.client, load, address, amount)
		if err != nil {
			return runner{close: closeAll(all)}, err
		}
		return runner{client.turn, closeAll(append(all, client.close))}, nil
	}}
}

func twoVPSs(ctx context.Context, b *bench) (pair, error) {
	server, closeServer, err := inVPS(ctx, b)
	all := []func(context.Context) error{}
	if closeServer != nil {
		all = append(all, closeServer)
	}
	if err != nil {
		return pair{close: closeAll(all)}, err
	}
	client, closeClient, err := inVPS(ctx, b)
	if closeClient != nil {
		all = append(all, closeClient)
	}
	p := pair{server: server, client: client, close: closeAll(all)}
	if err != nil {
		return p, err
	}
	p.address, err = b.address(ctx, server[len(server)-3])
	return p, err
}

// vpsAndHost has its server on the host, at an address that VPSs reach.
func vpsAndHost(ctx context.Context, b *bench) (pair, error) {
	client, close, err := inVPS(ctx, b)
	return pair{server: []string{b.Self}, client: client, address: hostAddress, close: close}, err
}

// address returns the IPv4 address of a VPS.
func (b *bench) address(ctx context.Context, vps string) (string, error) {
	text, err := b.run(ctx, b.croftArgs("inspect", vps)...)
	if err != nil {
		return "", err
	}
	var i struct {
		Interfaces []struct{ Addresses []string }
	}
	if err := json.Unmarshal([]byte(text), &i); err != nil {
		return "", err
	}
	for _, n := range i.Interfaces {
		for _, a := range n.Addresses {
			if prefix, err := netip.ParsePrefix(a); err == nil && prefix.Addr().Is4() {
				return prefix.Addr().String(), nil
			}
		}
	}
	return "", fmt.Errorf("%s has no IPv4 address", vps)
}

// twoNamespaces are two network namespaces on a bridge that only forwards frames.
func twoNamespaces(ctx context.Context, b *bench) (pair, error) {
	const bridge, gateway, first, second = "plain0", "198.51.100.1", "198.51.100.2", "198.51.100.3"
	p := pair{
		server: []string{"ip", "netns", "exec", "plain-a", b.Self}, client: []string{"ip", "netns", "exec", "plain-b", b.Self},
		address: first,
		close: func(ctx context.Context) error {
			for _, args := range []string{"ip netns delete plain-a", "ip netns delete plain-b", "ip link delete " + bridge} {
				b.quietly(ctx, strings.Fields(args)...) // it may not be there
			}
			return nil
		},
	}
	lines := []string{
		"ip link add " + bridge + " type bridge", "ip addr add " + gateway + "/24 dev " + bridge, "ip link set " + bridge + " up",
	}
	for ns, address := range map[string]string{"plain-a": first, "plain-b": second} {
		lines = append(lines,
			"ip netns add "+ns,
			"ip link add "+ns+" type veth peer name eth0 netns "+ns,
			"ip link set "+ns+" master "+bridge+" up",
			"ip -n "+ns+" addr add "+address+"/24 dev eth0",
			"ip -n "+ns+" link set eth0 up",
		)
	}
	for _, line := range lines {
		if err := b.quietly(ctx, strings.Fields(line)...); err != nil {
			return p, err
		}
	}
	return p, nil
}

// namespaceAndHost has its server on the host, at the address of the plain bridge.
func namespaceAndHost(ctx context.Context, b *bench) (pair, error) {
	p, err := twoNamespaces(ctx, b)
	p.server, p.address = []string{b.Self}, "198.51.100.1"
	return p, err
}

func (b *bench) loadRows() []row {
	const system, pings, streamed = "3000000", "20000", "3000"
	return []row{
		{
			name: "syscall",
			what: "a system call that does nothing, 3 million times: getppid(2) in a VPS; on the host; with Podman's filter; in runc, which has no filter unless asked for",
			sides: []side{
				loaded("croft", inVPS, "syscall", system), loaded("host", onHost, "syscall", system),
				loaded("podman", inPodman, "syscall", system), loaded("runc", inRunc, "syscall", system),
			},
		}, {
			name:  "files",
			what:  "3,000 small files are created, written, looked at, read and removed, in /root of a VPS (overlayfs)",
			sides: []side{files("croft", inVPS, "/root/bench"), files("host", onHost, ""), files("podman", inPodman, "/root/bench")},
		}, {
			name: "files-docker", target: 1.1,
			what:  "the same in /var/lib/docker of a VPS, which is not on an overlay",
			sides: []side{files("croft", inVPS, "/var/lib/docker/bench"), files("host", onHost, "")},
		}, {
			name:  "ping",
			what:  "one byte there and back by TCP, 20,000 times, from VPS to VPS; network namespaces on a plain bridge",
			sides: []side{paired("croft", twoVPSs, "ping", pings), paired("plain bridge", twoNamespaces, "ping", pings)},
		}, {
			name:  "ping-host",
			what:  "the same from a VPS to its host",
			sides: []side{paired("croft", vpsAndHost, "ping", pings), paired("plain bridge", namespaceAndHost, "ping", pings)},
		}, {
			name:  "stream",
			what:  "3 GB in one stream of TCP from VPS to VPS",
			sides: []side{paired("croft", twoVPSs, "stream", streamed), paired("plain bridge", twoNamespaces, "stream", streamed)},
		}, {
			name:  "stream-host",
			what:  "the same from a VPS to its host",
			sides: []side{paired("croft", vpsAndHost, "stream", streamed), paired("plain bridge", namespaceAndHost, "stream", streamed)},
		},
	}
}
