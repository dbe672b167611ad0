package main

import (
	"context"
	"fmt"
)

// nspawnArgs is systemd-nspawn for files, without systemd on the host.
func nspawnArgs(root string, args ...string) []string {
	return append([]string{
		"systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--directory", root,
	}, args...)
}

func nspawnRun() side {
	return side{"systemd-nspawn", func(ctx context.Context, b *bench) (runner, error) {
		if err := needs("systemd-nspawn", "systemd-container"); err != nil {
			return runner{}, err
		}
		root, close, err := b.rootfs(busybox + shifted)
		ids := fmt.Sprintf("--private-users=%d:65536", idBase)
		return runner{b.measured(nil, nspawnArgs(root, ids, "--as-pid2", "true"), nil), close}, err
	}}
}
