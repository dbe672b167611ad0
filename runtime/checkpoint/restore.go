package checkpoint

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/checkpoint-restore/go-criu/v8/rpc"

	"croft/internal/fail"
)

// A Restore says what Restore makes of the files of a Dump.
type Restore struct {
	Dir    string
	Root   string            // a mount of the root filesystem of the VPS
	Given  map[string]string // by the mount points of the Dump: the files that are mounted there
	Place  func(pid int) error
	Linked func(pid int) error  // called when init and its namespaces exist, and no other process
	Ready  func(Restored) error // called when all processes exist and none runs
}

// Restored is what Restore has made.
type Restored struct {
	PID     int
	Console *os.File // the master of /dev/console; the caller closes it. nil if no process had it open
}

// Restore makes the processes of a VPS. They are children of this process, and run. It
// calls r.Place with criu's pid first; the processes have its cgroups. On an error none is
// left, and the files are as before.
func (c Criu) Restore(ctx context.Context, r Restore) (made Restored, err error) {
	program, err := c.program()
	if err != nil {
		return Restored{}, err
	}
	dir, err := os.Open(r.Dir)
	if err != nil {
		return Restored{}, fmt.Errorf("open directory of the checkpoint: %w", err)
	}
	defer dir.Close()
	o := options(dir)
	o.Root, o.RstSibling, o.EvasiveDevices = &r.Root, new(true), new(true)
	// With it criu sends the console also if that is no controlling terminal.
	o.ShellJob = new(true)
	for _, at := range slices.Sorted(maps.Keys(r.Given)) {
		from := r.Given[at]
		o.ExtMnt = append(o.ExtMnt, &rpc.ExtMountMap{Key: &at, Val: &from})
	}
	place := func(pid int) error { // the cgroups of a VPS that has come from another host can have other names
		if err := r.Place(pid); err != nil {
			return err
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		o.CgRoot = cgroupRoots(string(text))
		return err
	}
	s := session{place: place, notes: map[string]func(note) error{
		"setup-namespaces": func(n note) error { return r.Linked(n.pid) },
		"post-restore": func(n note) error {
			made.PID = n.pid
			return r.Ready(made)
		},
		"orphan-pts-master": func(n note) error {
			if made.Console != nil {
				made.Console.Close()
			}
			made.Console = n.files
			return nil
		},
	}}
	if _, err := s.ask(ctx, program, rpc.CriuReqType_RESTORE, o, r.Dir); err != nil {
		if made.Console != nil {
			made.Console.Close()
		}
		return Restored{}, fail.New(fail.State, "criu cannot restore its processes: %w", err)
	}
	return made, nil
}
