package runtime

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

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/vps"
)

// SetSysctlsCommand is the word that makes croft set sysctls of the namespaces
// that it runs in.
const SetSysctlsCommand = "set-sysctls"

// SetSysctls is croft as that: each of args is KEY=VALUE. It prints the first that
// cannot be set, with the reason, and returns 1.
func SetSysctls(args []string) int {
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

// pairs are the sysctls that keep is true for as KEY=VALUE, sorted.
func pairs(sysctls map[string]string, keep func(key string) bool) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(sysctls)) {
		if keep(key) {
			all = append(all, key+"="+sysctls[key])
		}
	}
	return all
}

// trySysctls sets sysctls in namespaces such as those of a VPS, which end with
// the call. It is fail.Usage if one cannot be set. Where such namespaces cannot be
// made nothing is known, and it is nil.
func trySysctls(ctx context.Context, sysctls map[string]string, privileged bool) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = append([]string{"croft", SetSysctlsCommand}, pairs(sysctls, func(string) bool { return true })...)
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

// setUserSysctls sets those limits of v's user namespace that its sysctls say.
// Its init waits: nothing of the VPS's own runs yet. The program is croft itself,
// which libcontainer's process inside has as /proc/self/exe.
func (m *Manager) setUserSysctls(v vps.VPS, spec *specs.Spec) error {
	args := pairs(v.Sysctls, vps.OfUserNamespace)
	if len(args) == 0 {
		return nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make pipe: %w", err)
	}
	defer read.Close()
	r, err := m.containers.Exec(v.Name, &specs.Process{
		Args: append([]string{"/proc/self/exe", SetSysctlsCommand}, args...), Cwd: "/",
		Capabilities: spec.Process.Capabilities,
	}, [3]*os.File{nil, write, nil})
	write.Close()
	if err != nil {
		return fmt.Errorf("set sysctls: %w", err)
	}
	status, err := r.Wait()
	if err != nil || status == 0 {
		return err
	}
	why := make([]byte, 256)
	n, _ := read.Read(why)
	return fail.New(fail.Host, "cannot set sysctl %s", why[:n])
}
