package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"croft/internal/inherited"
	"croft/internal/nsthread"
)

// keysUsedUp reports whether a process could not be made because the root of
// its container has as many keys as it may have (kernel.keys.maxkeys): a new
// process joins a session keyring of its container, which is one of them. The
// error comes from another process, as text.
func keysUsedUp(err error) bool {
	return err != nil && strings.Contains(err.Error(), "join session keyring")
}

// execWithoutKeys is Container.Exec for a process without a keyring of its own,
// because the keys of the container's user are used up. libcontainer reads that
// setting from the container's state only, so it gets a changed copy of the
// state.
func (e Engine) execWithoutKeys(id string, p *specs.Process, s Streams, cgroups map[string]string) (r *Running, err error) {
	dir, err := os.MkdirTemp("", "croft-exec-")
	if err != nil {
		return nil, fmt.Errorf("copy container's state: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	const file = "state.json"
	data, err := os.ReadFile(filepath.Join(e.Root, id, file))
	if err != nil {
		return nil, fmt.Errorf("copy container's state: %w", err)
	}
	if data, err = withoutKeyring(data); err == nil {
		err = os.Mkdir(filepath.Join(dir, id), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, id, file), data, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("copy container's state: %w", err)
	}
	c, err := Load(dir, id)
	if err != nil {
		return nil, err
	}
	return c.execBeside(p, s, cgroups)
}

// execBeside is Exec that never gives the caller's keys to the command: a
// container that was made without a keyring of its own has none to join.
func (c *Container) execBeside(p *specs.Process, s Streams, cgroups map[string]string) (r *Running, err error) {
	if !c.lc.Config().NoNewKeyring {
		return c.execClean(p, s, cgroups)
	}
	inherited.DropProcess()
	err = withOwnKeyring(func() error {
		inherited.DropThread()
		r, err = c.Exec(p, s, cgroups)
		return err
	})
	return r, err
}

// withoutKeyring changes the state of a container: its new processes keep the
// session keyring of the process that starts them.
func withoutKeyring(state []byte) ([]byte, error) {
	var all, config map[string]json.RawMessage
	if err := json.Unmarshal(state, &all); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(all["config"], &config); err != nil {
		return nil, err
	}
	config["no_new_keyring"] = json.RawMessage("true")
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	all["config"] = text
	return json.Marshal(all)
}

// withOwnKeyring calls do with an empty session keyring that belongs to the
// host's root: what do starts inherits that, and not the caller's keys. The thread
// that did it is not used again.
func withOwnKeyring(do func() error) error {
	return nsthread.Call(func() error {
		_, _, e := unix.Syscall(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0)
		if e != 0 && e != unix.ENOSYS {
			return fmt.Errorf("make a session keyring: %w", e)
		}
		return do()
	})
}
