package inside

import (
	"fmt"

	"golang.org/x/sys/unix"

	"croft/internal/nsthread"
)

// An Owner is a user and a group id of the host.
type Owner struct{ UID, GID uint32 }

// as is asOwner for a user and the group of the same number.
func as(id uint32, do func() error) error { return asOwner(Owner{id, id}, do) }

// asOwner calls do on a thread that acts on files as the user and group id of the
// host, without other groups and without root's powers over files
// (capabilities(7), "Effect of user ID changes"), and with no umask.
func asOwner(o Owner, do func() error) error {
	return nsthread.Call(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil { // its umask
			return fmt.Errorf("leave the shared umask: %w", err)
		}
		unix.Umask(0)
		if err := become(int(o.UID), int(o.GID)); err != nil {
			return err
		}
		return do()
	})
}

// become changes the ids that the calling thread has for files.
func become(uid, gid int) error {
	if unix.Geteuid() == uid && unix.Getegid() == gid {
		return nil
	}
	// The raw call: unix.Setgroups changes all threads of the process.
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); errno != 0 {
		return fmt.Errorf("leave all groups: %w", errno)
	}
	// Neither call reports an error. The next calls read the ids back
	// (setfsuid(2)).
	_, _ = unix.SetfsgidRetGid(gid)
	_, _ = unix.SetfsuidRetUid(uid)
	hasGID, _ := unix.SetfsgidRetGid(-1)
	hasUID, _ := unix.SetfsuidRetUid(-1)
	if hasUID != uid || hasGID != gid {
		return fmt.Errorf("act as user %d and group %d: have %d:%d", uid, gid, hasUID, hasGID)
	}
	return nil
}
