package runtime

import (
	"context"
	"os"
	"path/filepath"

	"croft/internal/inside"
	"croft/internal/vps"
	"croft/runtime/guests"
	"croft/runtime/holder"
)

// ownFiles are the files that show a VPS its own memory, CPUs and load, and where its
// holder finds the numbers.
type ownFiles struct {
	*guests.OwnFiles
	owner   uint32
	cgroups holder.Cgroups
}

// ownFiles gives v, whose init is p, such files. nil if the host cannot. An error means that
// v sees some of the host's files.
func (m *Manager) ownFiles(v vps.VPS, p *inside.Process) (*ownFiles, error) {
	dirs, err := m.containers.Cgroups(string(v.Name))
	if err != nil {
		return nil, err
	}
	own := &ownFiles{owner: v.IDs.First, cgroups: holder.CgroupsOf(dirs)}
	pressure := false // version 1 does not have it, nor does each kernel
	if dir := dirs[""]; dir != "" {
		_, err := os.Stat(filepath.Join(dir, "cpu.pressure"))
		pressure = err == nil
	}
	own.OwnFiles, err = m.guests.OwnFiles(p, own.owner, pressure, m.store.RunDir(v.Name))
	if own.OwnFiles == nil {
		return nil, err
	}
	return own, err
}

// renewOwnFiles is ownFiles for a VPS that has lost its holder, and may have anything
// mounted inside.
func (m *Manager) renewOwnFiles(v vps.VPS, id inside.Identity) (*ownFiles, error) {
	made := make(chan *ownFiles, 1)
	err := inside.InProcess(context.Background(), id, func(p *inside.Process) error {
		own, err := m.ownFiles(v, p)
		made <- own
		return err
	})
	select {
	case own := <-made:
		return own, err
	default: // what comes later is closed when this process becomes the holder
		return nil, err
	}
}
