package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/template/rootfs"
)

// MakeOwn is rootfs.MakeOver for a VPS that is to have all files of its frozen layers
// as its own: it copies them into the upper directory, with the ids of r. Where the
// filesystem can, the copies share blocks. The frozen layers must not change meanwhile.
// Afterwards r does not need them. After an error r.Dir is to be removed.
func MakeOwn(ctx context.Context, r rootfs.Rootfs) error {
	if err := r.MakeOver(); err != nil {
		return err
	}
	for n := range r.Frozen {
		to := r.Upper()
		if n > 0 {
			to = filepath.Join(r.Dir, fmt.Sprintf("copy-%d", n))
		}
		if err := copyFrozen(ctx, r, n, to); err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		err := Merge(ctx, r.Upper(), to)
		if errors.Is(err, ErrRedirect) {
			return fail.New(fail.State, "its layers cannot be copied into one: %w", err)
		}
		if err == nil {
			err = os.Remove(to) // it is empty
		}
		if err != nil {
			return err
		}
	}
	return markOwnData(r)
}

// copyFrozen copies the n-th frozen layer of r to the directory to.
func copyFrozen(ctx context.Context, r rootfs.Rootfs, n int, to string) error {
	from, err := r.OpenFrozen(n)
	if err != nil {
		return err
	}
	target, err := makeRoot(to)
	if err != nil {
		from.Close()
		return err
	}
	c := &LiveCopy{from: from, to: target, top: &known{place: &place{}}}
	defer c.Close()
	_, err = c.LastPass(ctx)
	if errors.Is(err, unix.EACCES) { // root may read everything else
		return fail.New(fail.State, "%w: its owner is not a user of the VPS", err)
	}
	if err != nil {
		return err
	}
	return c.Finish()
}
