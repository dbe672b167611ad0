package runtime

import (
	"context"
	"time"

	"croft/internal/state"
	"croft/internal/vps"
)

// A VolumeInfo tells about a named volume.
type VolumeInfo struct {
	Name    string     `json:"name"`
	Created time.Time  `json:"created"`
	Path    string     `json:"path"`   // on the host
	UsedBy  []vps.Name `json:"usedBy"` // VPSs that have it, running or not
}

func volumeInfo(v state.Volume) VolumeInfo {
	return VolumeInfo{Name: v.Name, Created: v.Created.Truncate(time.Second), Path: v.Path, UsedBy: v.UsedBy}
}

// Volumes returns all volumes, sorted by name.
func (m *Manager) Volumes(ctx context.Context) ([]VolumeInfo, error) {
	all, err := m.store.Volumes(ctx)
	if err != nil {
		return nil, err
	}
	infos := []VolumeInfo{}
	for _, v := range all {
		infos = append(infos, volumeInfo(v))
	}
	return infos, nil
}

// Volume returns the volume name; fail.NotFound if there is none.
func (m *Manager) Volume(ctx context.Context, name string) (VolumeInfo, error) {
	v, err := m.store.Volume(ctx, name)
	if err != nil {
		return VolumeInfo{}, err
	}
	return volumeInfo(v), nil
}

// CreateVolume creates the empty volume name. Root of each VPS that mounts it owns
// it. An existing one is fail.Taken.
func (m *Manager) CreateVolume(ctx context.Context, name string) error {
	return m.store.CreateVolume(ctx, name)
}

// RemoveVolume removes the volume name with its files. It is fail.State while a VPS
// has it in its settings, running or not, and fail.NotFound if there is none.
func (m *Manager) RemoveVolume(ctx context.Context, name string) error {
	m.removeAllLeft(ctx)
	if err := m.store.RemoveVolume(ctx, name); err != nil {
		return err
	}
	m.emptyTrash(context.WithoutCancel(ctx))
	return nil
}
