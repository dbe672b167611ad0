package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/network"
)

// A bridge, a chain and a table of filters belong to a network namespace. Two
// roots of croft in one namespace would use the same ones, each by its own
// tables. So the first root that sets up a network there owns the namespace,
// until it has no network there any more.

// own makes the host's root the owner of the network namespace. It is
// fail.Taken if another root has a network there. Twice is a no-op.
func (h *Host) claimNamespace(ctx context.Context) error {
	path, owner, err := h.owner()
	if err != nil || path == "" || owner == h.Root {
		return err
	}
	unlock, err := h.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	other, err := h.otherOwner()
	if err != nil {
		return err
	}
	if other != "" {
		return fail.New(fail.Taken, "another root of croft, %s, has networks here; two roots in one network namespace would use the same bridges and filters", other).
			WithHint("croft --root /%s network list", strings.TrimPrefix(other, "/"))
	}
	if err := os.MkdirAll(h.Register, 0o700); err != nil {
		return classify("make directory "+h.Register, err)
	}
	next := path + ".new"
	if err := os.WriteFile(next, []byte(h.Root+"\n"), 0o600); err != nil {
		return classify("write "+next, err)
	}
	return classify("write "+path, os.Rename(next, path))
}

// otherOwner is the root that owns the network namespace, "" if that is the
// host's own or none. One that has no networks, or nothing here, owns it no
// longer: namespaces get the numbers of those that are gone.
func (h *Host) otherOwner() (string, error) {
	path, owner, err := h.owner()
	if err != nil || path == "" || owner == "" || owner == h.Root || sameFile(owner, h.Root) {
		return "", err
	}
	tables, err := filepath.Glob(filepath.Join(owner, "networks", "*.json"))
	if err != nil || len(tables) == 0 {
		return "", err
	}
	here, err := h.hasNetworks()
	if err != nil || !here {
		return "", err
	}
	return owner, nil
}

// disown forgets who owns the network namespace if nothing of croft is there.
// The caller holds the lock.
func (h *Host) releaseNamespace() error {
	path, _, err := h.owner()
	if err != nil || path == "" {
		return err
	}
	if here, err := h.hasNetworks(); err != nil || here {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return classify("remove "+path, err)
	}
	return nil
}

// owner reads who owns the network namespace of the calling thread, and from
// which file; "" if it has no owner. A host without a register has no such file.
func (h *Host) owner() (path, root string, err error) {
	if h.Register == "" {
		return "", "", nil
	}
	var ns unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &ns); err != nil {
		return "", "", classify("find the network namespace", err)
	}
	path = filepath.Join(h.Register, fmt.Sprintf("net-%d", ns.Ino))
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", classify("read "+path, err)
	}
	return path, strings.TrimSuffix(string(data), "\n"), nil
}

func sameFile(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// hasNetworks reports whether croft has filters or links here.
func (h *Host) hasNetworks() (bool, error) {
	for _, f := range []network.Family{network.FamilyInet, network.FamilyBridge, network.FamilyNetdev} {
		if there, err := h.tableIsThere(f); err != nil || there {
			return there, err
		}
	}
	links, err := undisturbed(h.nl.LinkList)
	if err != nil {
		return false, classify("list links", err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Alias, "croft ") {
			return true, nil
		}
	}
	return false, nil
}
