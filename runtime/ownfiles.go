package runtime

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"croft/internal/inside"
	"croft/internal/trace"
	"croft/internal/vps"
	"croft/runtime/guests"
	"croft/runtime/holder"
	"croft/runtime/paths"
)

// ownFiles are the files that show a VPS its own memory, CPUs and load, and where its
// holder finds the numbers.
type ownFiles struct {
	*guests.OwnFiles
	owner    uint32
	cgroups  holder.Cgroups
	messages bool // they have the kernel messages of the VPS too
}

// ownFiles gives v, whose init is p, such files, with those of its kernel messages if these
// are wanted. nil if the host cannot. An error means that v sees some of the host's files.
func (m *Manager) ownFiles(v vps.VPS, p *inside.Process, messages bool) (*ownFiles, error) {
	dirs, err := m.containers.Cgroups(string(v.Name))
	if err != nil {
		return nil, err
	}
	own := &ownFiles{owner: v.IDs.First, cgroups: holder.CgroupsOf(dirs), messages: messages}
	pressure := false // version 1 does not have it, nor does each kernel
	if dir := dirs[""]; dir != "" {
		_, err := os.Stat(filepath.Join(dir, "cpu.pressure"))
		pressure = err == nil
	}
	own.OwnFiles, err = m.guests.OwnFiles(p, own.owner, guests.OwnFilesWanted{Pressure: pressure, Messages: messages}, m.store.RunDir(v.Name))
	if own.OwnFiles == nil {
		return nil, err
	}
	return own, err
}

// giveOwnFiles gives v, which starts with init p, such files, and puts them into h. A VPS
// without kernel messages has an empty pipe in place of /proc/kmsg.
func (mon *monitor) giveOwnFiles(v vps.VPS, p *inside.Process, h *held) (err error) {
	defer trace.Span("give the files that show the VPS")()
	if h.own, err = mon.ownFiles(v, p, !v.NoDmesg); err != nil {
		mon.warn(fmt.Sprintf("%s sees some of the host's memory and CPUs: %v", v.Name, err))
	}
	if h.own != nil && h.own.messages {
		return nil
	}
	h.kernelLog, err = mon.guests.KernelLog(p, paths.KernelLog(mon.store, v.Name), v.IDs.First)
	return err
}

// renewOwnFiles is ownFiles for a VPS that has lost its holder, and may have anything
// mounted inside.
func (m *Manager) renewOwnFiles(v vps.VPS, id inside.Identity, messages bool) (*ownFiles, error) {
	made := make(chan *ownFiles, 1)
	err := inside.InProcess(context.Background(), id, func(p *inside.Process) error {
		own, err := m.ownFiles(v, p, messages)
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
