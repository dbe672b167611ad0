package runtime

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/template/rootfs"
	"croft/template/rootfs/diskfile"
)

// createDisk makes the disk of v in dir, the directory of v or of its draft, and says in v
// which it is. No-op for a VPS without a limit.
func (m *Manager) createDisk(ctx context.Context, dir string, v *vps.VPS) error {
	v.Disk.Kind, v.Disk.Image = vps.DiskUnlimited, ""
	if !v.Disk.Limited() {
		return nil
	}
	v.Disk.Kind = vps.DiskImage
	if !v.Privileged { // root of the host can exceed a quota, and leave it
		v.Disk.Kind = m.disks.Kind(dir)
	}
	v.Disk.Image = state.DiskImageName(v.Disk.Kind)
	return m.disks.Create(ctx, v.Disk.Kind, state.DiskImageIn(dir, *v), sizeOf(v.Disk))
}

// sizeOf is the size of a disk with a limit.
func sizeOf(d vps.Disk) diskfile.Size { return diskfile.Size{Bytes: d.Bytes, Inodes: d.Inodes} }

// checkFits is fail.State if v, whose files are in dir, has more of them than its quota
// allows: a limit is no limit for croft itself. No-op for other kinds of disks.
func (m *Manager) checkFits(dir string, v vps.VPS) error {
	if v.Disk.Kind != vps.DiskQuota {
		return nil
	}
	return whyNotCopied(v, m.disks.Fits(state.DiskImageIn(dir, v), sizeOf(v.Disk)))
}

// limitDisk gives a VPS with a quota the limits of its settings: a command that was to
// change them was killed, or the quotas were off. No-op without a quota.
func (m *Manager) limitDisk(v vps.VPS) error {
	if v.Disk.Kind != vps.DiskQuota {
		return nil
	}
	if err := m.disks.SetQuota(m.store.DiskImage(v), sizeOf(v.Disk)); err != nil {
		return fmt.Errorf("%s: its disk is not limited: %w", v.Name, err)
	}
	return nil
}

// settleDisk removes what a change of the disk has left that was killed. An error is a
// warning.
func (m *Manager) settleDisk(l *state.Locked, v vps.VPS) {
	if err := m.limitDisk(v); err != nil {
		m.warn(err.Error())
	}
	if m.notMounted(v.Name) != nil {
		return // the image may be mounted over what is to be removed
	}
	if err := l.DiscardDisks(v); err != nil {
		m.warn(fmt.Sprintf("%s: cannot remove what a change of its disk has left: %v", v.Name, err))
	}
}

// holdDisk returns the disk that the change asks for. Until changeDisk the VPS keeps the
// one that it has.
func (c *change) holdDisk() vps.Disk {
	disk := c.now.Disk
	c.now.Disk = c.was.Disk
	return disk
}

// changeDisk gives the VPS the disk to. It is the last step of a change: after it nothing
// can fail. On an error the VPS has the disk that it had.
func (c *change) changeDisk(ctx context.Context, to vps.Disk) error {
	switch c.now.Disk.Step(to) {
	case vps.DiskStays:
		return nil
	case vps.DiskSets:
		return c.changeQuota(to)
	case vps.DiskGrows:
		err := c.disks.Grow(c.store.DiskImage(c.now.VPS), to.Bytes)
		if err == nil {
			return c.putDisk(to)
		}
		if !fail.Is(err, fail.Permission) {
			return err
		}
		if c.init.PID != 0 {
			return fail.New(fail.State, "the disk of %s can grow only while it is stopped: %w", c.now.Name, err)
		}
	}
	return c.moveFiles(ctx, to)
}

// changeQuota gives the VPS, whose disk has a quota, the limits of to. It may run.
func (c *change) changeQuota(to vps.Disk) error {
	was := c.now.Disk
	to.Kind, to.Image = was.Kind, was.Image
	next := c.now.VPS.Clone()
	next.Disk = to
	if err := c.checkFits(c.store.VPSDir(c.now.Name), next); err != nil {
		return err
	}
	if err := c.putDisk(to); err != nil {
		return err
	}
	if err := c.disks.SetQuota(c.store.DiskImage(c.now.VPS), sizeOf(to)); err != nil {
		return errors.Join(err, c.putDisk(was), c.limitDisk(c.now.VPS))
	}
	return nil
}

// putDisk saves the disk.
func (c *change) putDisk(to vps.Disk) error {
	next := c.now.Clone()
	next.Disk = to
	if err := c.lock.Put(next); err != nil {
		return err
	}
	c.now.Disk = to
	return nil
}

// moveFiles copies the own files of the stopped VPS to a new disk, and saves that it has
// this one. Before that it has the former one, whatever happens.
func (c *change) moveFiles(ctx context.Context, to vps.Disk) (err error) {
	life, err := c.lock.Life()
	if fail.Is(err, fail.State) {
		return fail.New(fail.State, "%s runs, and this change of its disk copies its files, which is possible only while it is stopped", c.now.Name).WithHint("croft list %s", c.now.Name)
	}
	if err != nil {
		return err
	}
	defer state.ReleaseLife(life)
	if err := c.notMounted(c.now.Name); err != nil {
		return err
	}
	next := c.now.VPS.Clone()
	next.Disk = to
	defer func() { // of the two, what is not used
		c.settleDisk(c.lock, c.now.VPS)
		c.emptyTrash(context.WithoutCancel(ctx))
	}()
	if err := c.createDisk(ctx, c.store.VPSDir(next.Name), &next); err != nil {
		return err
	}
	from, err := c.rootfs(c.now.VPS)
	if err != nil {
		return err
	}
	place, err := c.rootfsIn(next, rootfs.Rootfs{Dir: c.store.NewFSDir(next.Name)})
	if err != nil {
		return err
	}
	if err := c.rootfses.CopyOwn(ctx, from, place); err != nil {
		return whyNotCopied(next, err)
	}
	if err := c.checkFits(c.store.VPSDir(next.Name), next); err != nil {
		return err
	}
	if next.Disk.Image != "" {
		return c.putDisk(next.Disk)
	}
	if err := c.lock.ExchangeFS(); err != nil {
		return err
	}
	if err := c.putDisk(next.Disk); err != nil {
		return errors.Join(err, c.lock.ExchangeFS())
	}
	return nil
}

// whyNotCopied says that the files of v are too many for its new disk, if they are.
func whyNotCopied(v vps.VPS, err error) error {
	if v.Disk.Image != "" && (errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)) {
		return fail.New(fail.State, "the files of %s do not fit on a disk of this size: %w", v.Name, err).WithHint("croft stats %s --disk", v.Name)
	}
	return err
}
