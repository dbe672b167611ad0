package filecopy

import (
	"fmt"

	"golang.org/x/sys/unix"

	"croft/internal/nsthread"
)

// create calls do, which creates files in t, on a thread whose new files belong to the
// root of t. It has all other powers of root of the host. In an idmapped mount, such as
// a volume of a VPS, root of the host cannot be the owner of a file: without this the
// kernel refuses to create one (EOVERFLOW, mount_setattr(2)). do must not create files
// in goroutines.
func (t Tree) create(do func() error) error {
	first := int(t.IDs.First)
	if t.IDs.Size == 0 || first == 0 {
		return do()
	}
	return nsthread.Call(func() error {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var caps [2]unix.CapUserData
		if err := unix.Capget(&header, &caps[0]); err != nil {
			return fmt.Errorf("read capabilities: %w", err)
		}
		// Neither call reports an error. The next calls read the ids back
		// (setfsuid(2)).
		_, _ = unix.SetfsgidRetGid(first)
		_, _ = unix.SetfsuidRetUid(first)
		gid, _ := unix.SetfsgidRetGid(-1)
		uid, _ := unix.SetfsuidRetUid(-1)
		if uid != first || gid != first {
			return fmt.Errorf("create files as user %d: have %d:%d", first, uid, gid)
		}
		// The change of the user has taken the powers over files away
		// (capabilities(7), "Effect of user ID changes on capabilities").
		if err := unix.Capset(&header, &caps[0]); err != nil {
			return fmt.Errorf("keep capabilities: %w", err)
		}
		return do()
	})
}
