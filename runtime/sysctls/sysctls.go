// Package sysctls sets kernel settings of a VPS in the namespaces to which they
// belong.
package sysctls

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
)

// Command is the hidden command with which croft sets the settings of the
// namespaces that it runs in.
const Command = "set-sysctls"

// Main is that command. Each of args is KEY=VALUE. It returns 0, or prints the
// first setting that cannot be set, with the reason, and returns 1.
func Main(args []string) int {
	for _, a := range args {
		key, value, _ := strings.Cut(a, "=")
		if err := writeSysctl(key, value); err != nil {
			fmt.Printf("%s: %v", key, err)
			return 1
		}
	}
	return 0
}

func writeSysctl(key, value string) error {
	file := filepath.Join("/proc/sys", filepath.Clean("/"+strings.ReplaceAll(key, ".", "/")))
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(value)
		err = errors.Join(err, f.Close())
	}
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	switch errno {
	case unix.ENOENT:
		return errors.New("there is no such setting in a VPS on this kernel")
	case unix.EACCES, unix.EPERM:
		return errors.New("a VPS may not change it")
	case unix.EINVAL, unix.ERANGE:
		return fmt.Errorf("invalid value %q", value)
	}
	return errno
}

// Arguments returns the settings for which keep reports true as KEY=VALUE, sorted.
func Arguments(settings map[string]string, keep func(key string) bool) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if keep(key) {
			all = append(all, key+"="+settings[key])
		}
	}
	return all
}

// Try sets settings in namespaces like those of a VPS, which end with the call.
// It is fail.Usage if one of them cannot be set. It is nil if such namespaces
// cannot be made here.
func Try(ctx context.Context, settings map[string]string, privileged bool) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = append([]string{"croft", Command}, Arguments(settings, func(string) bool { return true })...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS}
	if !privileged {
		const nobody = 65534 // any id but the host's root, which owns the host's sysctls
		ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: nobody, Size: 1}}
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = ids, ids
		cmd.SysProcAttr.Credential = &syscall.Credential{NoSetGroups: true} // root there; until then it is still the host's
	}
	out, err := cmd.Output()
	if err == nil || len(out) == 0 {
		return ctx.Err()
	}
	return fail.New(fail.Usage, "cannot set sysctl %s", out)
}
