package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/checkpoint-restore/go-criu/v8/rpc"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
)

// A Dump says what Dump writes.
type Dump struct {
	Dir     string   // for the images; it exists and is empty
	Init    int      // the pid of the init of the VPS
	Given   []string // mount points in the VPS whose files croft gives to it
	Freezer string   // the cgroup whose processes criu freezes
	// Written is called when all images are written and durable, and no process of the VPS
	// runs. On an error the VPS runs on.
	Written func() error
}

// Dump writes the processes of a VPS to files and ends them. On an error the VPS runs on,
// as before.
func (c Criu) Dump(ctx context.Context, d Dump) error {
	program, err := c.program()
	if err != nil {
		return err
	}
	dir, err := os.Open(d.Dir)
	if err != nil {
		return fmt.Errorf("open directory of the checkpoint: %w", err)
	}
	defer dir.Close()
	o := options(dir)
	o.Pid, o.FreezeCgroup = new(int32(d.Init)), &d.Freezer
	for _, at := range d.Given {
		o.ExtMnt = append(o.ExtMnt, &rpc.ExtMountMap{Key: &at, Val: &at})
	}
	s := session{notes: map[string]func(note) error{"post-dump": func(note) error {
		if err := finish(d.Dir); err != nil {
			return err
		}
		return d.Written()
	}}}
	if _, err := s.ask(ctx, program, rpc.CriuReqType_DUMP, o, d.Dir); err != nil {
		return fail.New(fail.State, "criu cannot save its processes: %w", err)
	}
	return nil
}

// options returns the options that a dump and a restore have both. The directory of the
// images is dir.
func options(dir *os.File) *rpc.CriuOpts {
	return &rpc.CriuOpts{
		ImagesDirFd:       new(int32(dir.Fd())),
		ManageCgroups:     new(true),
		ManageCgroupsMode: new(rpc.CriuCgMode_SOFT),
		// croft makes the network again, before the processes: criu leaves its namespace alone.
		EmptyNs:         new(uint32(unix.CLONE_NEWNET)),
		TcpEstablished:  new(true),
		FileLocks:       new(true),
		LinkRemap:       new(true),
		OrphanPtsMaster: new(true), // the console, whose other end the monitor has
	}
}

// finish makes the files in dir durable, and readable for criu in the user namespace of the
// VPS, where it is not root of the host. It gets a descriptor of dir; the directories above
// dir keep others out.
func finish(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("make images durable: %w", err)
	}
	for _, e := range entries {
		err = errors.Join(err, finishOne(filepath.Join(dir, e.Name()), 0o644))
	}
	return errors.Join(err, finishOne(dir, 0o711))
}

func finishOne(path string, mode os.FileMode) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("make images durable: %w", err)
	}
	defer f.Close()
	return errors.Join(f.Chmod(mode), f.Sync())
}
