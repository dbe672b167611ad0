package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/opencontainers/cgroups/manager"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/system"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/internal/atomicfile"
)

// Restore makes the container id of processes that start makes. start gets a function that
// puts a process into the cgroups of the container, which exist then with their limits,
// and returns the pid of the init. That is a child of this process, and all processes of
// the container are in its cgroups. On an error nothing is left.
func (e Engine) Restore(id string, spec *specs.Spec, oomScore int, start func(place func(pid int) error) (init int, err error)) (err error) {
	unlock, err := e.keepParents()
	if err != nil {
		return err
	}
	defer unlock()
	c, err := Make(e.Root, id, withOOMScore(spec, oomScore), MakeOptions{
		Systemd: e.Manager.Resolve() == Systemd, properties: append(ioWeight(spec.Linux.Resources.Unified), outlivesService()),
	})
	if err != nil {
		return fmt.Errorf("make container: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.deleteContainer(id))
		}
	}()
	if userNamespaceOf(spec) >= 0 {
		if err := boundNamespace(spec.Process); err != nil { // criu has these limits from this process
			return err
		}
	}
	config := c.lc.Config()
	cm, err := manager.New(config.Cgroups)
	if err != nil {
		return fmt.Errorf("make cgroups: %w", err)
	}
	if err := e.record(c.lc, 0, cm.GetPaths()); err != nil { // so that what is left is found
		return err
	}
	init, err := start(func(pid int) error {
		if err := cm.Apply(pid); err != nil {
			return fmt.Errorf("make cgroups: %w", err)
		}
		if err := cm.Set(config.Cgroups.Resources); err != nil {
			return fmt.Errorf("set limits: %w", err)
		}
		return e.record(c.lc, 0, cm.GetPaths())
	})
	if err != nil {
		return err
	}
	if err := e.record(c.lc, init, cm.GetPaths()); err != nil {
		return err
	}
	return e.finishRestore(id, spec)
}

// finishRestore does what follows when libcontainer knows the container.
func (e Engine) finishRestore(id string, spec *specs.Spec) error {
	c, err := e.load(id)
	if err != nil {
		return err
	}
	if err := delegate(c.lc); err != nil || spec.Linux.Resources.Unified["memory.low"] == "" {
		return err
	}
	return e.protect(id)
}

// record writes the file from which libcontainer loads a container: with the init pid and
// cgroups in these directories.
func (e Engine) record(c *libcontainer.Container, pid int, cgroups map[string]string) error {
	s, err := c.State()
	if err != nil {
		return fmt.Errorf("read container's state: %w", err)
	}
	s.CgroupPaths, s.Created = cgroups, time.Now().UTC()
	if pid > 0 {
		stat, err := system.Stat(pid)
		if err != nil {
			return fmt.Errorf("find the restored init: %w", err)
		}
		s.InitProcessPid, s.InitProcessStartTime = pid, stat.StartTime
		for _, kind := range configs.NamespaceTypes() {
			if configs.IsNamespaceSupported(kind) {
				s.NamespacePaths[kind] = (&configs.Namespace{Type: kind}).GetPath(pid)
			}
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode container's state: %w", err)
	}
	return atomicfile.Replace(filepath.Join(e.Root, c.ID(), "state.json"), 0o600, text)
}
