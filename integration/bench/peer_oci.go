package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
)

// A bundle is a container of an OCI runtime in a user namespace.
type bundle struct {
	program, state, id string
	dir, root          string // of the bundle, of its files
}

func (k bundle) args(args ...string) []string {
	return append([]string{k.program, "--root", k.state}, args...)
}

// bundle makes a container that runs args.
func (b *bench) bundle(ctx context.Context, program string, args ...string) (bundle, func(context.Context) error, error) {
	k := bundle{program: program, id: b.next("oci")}
	if program == "runc" {
		k.program = b.Runc
		if why := b.Missing["runc"]; why != "" {
			return k, nil, errors.New(why)
		}
	} else if err := needs(program, program); err != nil {
		return k, nil, err
	}
	root, close, err := b.rootfs(busybox + shifted)
	if err != nil {
		return k, nil, err
	}
	k.root = root
	k.dir, k.state = b.at(k.id), filepath.Join("/run", k.id)
	err = os.MkdirAll(k.dir, 0o755)
	if err == nil {
		_, err = b.run(ctx, k.program, "spec", "--bundle", k.dir)
	}
	if err == nil {
		err = editSpec(filepath.Join(k.dir, "config.json"), root, k.id, args)
	}
	return k, closeAll([]func(context.Context) error{close, func(ctx context.Context) error {
		b.quietly(ctx, k.args("delete", "--force", k.id)...) // it may be gone
		return nil
	}}), err
}

// editSpec gives the configuration that the runtime itself proposes a user namespace, a root filesystem and a command.
func editSpec(path, root, id string, args []string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err = withUserNamespace(text, root, id, args)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

func withUserNamespace(text []byte, root, id string, args []string) ([]byte, error) {
	var spec map[string]any
	if err := json.Unmarshal(text, &spec); err != nil {
		return nil, err
	}
	process, ok := spec["process"].(map[string]any)
	linux, also := spec["linux"].(map[string]any)
	if !ok || !also {
		return nil, errors.New("config.json has no process or no linux")
	}
	process["terminal"], process["args"] = false, args
	spec["root"] = map[string]any{"path": root}
	namespaces := []any{map[string]any{"type": "user"}}
	all, _ := linux["namespaces"].([]any)
	for _, n := range all {
		if kind, ok := n.(map[string]any); ok && kind["type"] != "user" {
			namespaces = append(namespaces, n)
		}
	}
	ids := []any{map[string]any{"containerID": 0, "hostID": idBase, "size": 65536}}
	linux["namespaces"], linux["uidMappings"], linux["gidMappings"] = namespaces, ids, ids
	linux["cgroupsPath"] = "/" + id
	return json.MarshalIndent(spec, "", "  ")
}

func ociStart(program string) side {
	return side{program, func(ctx context.Context, b *bench) (runner, error) {
		k, close, err := b.bundle(ctx, program, "/sbin/init")
		return runner{b.measured(nil, k.args("run", "--detach", "--bundle", k.dir, k.id), k.args("delete", "--force", k.id)), close}, err
	}}
}

func ociExec(program string) side {
	return side{program, func(ctx context.Context, b *bench) (runner, error) {
		k, close, err := b.bundle(ctx, program, "/sbin/init")
		if err == nil {
			err = b.quietly(ctx, k.args("run", "--detach", "--bundle", k.dir, k.id)...)
		}
		return runner{b.measured(nil, k.args("exec", k.id, "true"), nil), close}, err
	}}
}

func ociRun(program string) side {
	return side{program, func(ctx context.Context, b *bench) (runner, error) {
		k, close, err := b.bundle(ctx, program, "true")
		return runner{b.measured(nil, k.args("run", "--bundle", k.dir, k.id), nil), close}, err
	}}
}
