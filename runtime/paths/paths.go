// Package paths names the files of a VPS that internal/state does not name. Most
// are in its run directory: a start makes them and the end of the VPS removes
// them.
package paths

import (
	"os"
	"path/filepath"

	"croft/bundles"
	"croft/internal/state"
	"croft/internal/vps"
)

// NotifySocket is the socket at which the init of a VPS tells its monitor that it
// has booted (sd_notify(3)).
func NotifySocket(s *state.Store, name vps.Name) string {
	return filepath.Join(GivenDir(s, name), "notify")
}

// ConsoleSocket is the socket of the monitor for clients of the console.
func ConsoleSocket(s *state.Store, name vps.Name) string { return runFile(s, name, "console") }

// Booted is a file that exists when the init has told the monitor that it has
// booted.
func Booted(s *state.Store, name vps.Name) string { return runFile(s, name, "booted") }

// Filters says where the kernel counts packets of the VPS that the filters of the host have
// dropped, for its monitor.
func Filters(s *state.Store, name vps.Name) string { return runFile(s, name, "filters") }

// SeenBooted names the init of the VPS that a command has found to have booted.
func SeenBooted(s *state.Store, name vps.Name) string { return runFile(s, name, "up") }

// GivenDir is the directory of the files that the VPS gets from the host.
func GivenDir(s *state.Store, name vps.Name) string { return runFile(s, name, "given") }

// BootID holds the boot id that the VPS sees.
func BootID(s *state.Store, name vps.Name) string { return filepath.Join(GivenDir(s, name), "boot_id") }

// Credentials is the directory of the values of credentials, in the directory of a VPS
// or of a draft.
func Credentials(dir string) string { return filepath.Join(dir, "credentials") }

// KernelLog is the pipe that the VPS has as /proc/kmsg.
func KernelLog(s *state.Store, name vps.Name) string { return filepath.Join(GivenDir(s, name), "kmsg") }

// ToldNames holds a checksum of the names of other VPSs that this one was told
// last.
func ToldNames(s *state.Store, name vps.Name) string { return runFile(s, name, "names") }

// KeptNamespace is where a monitor keeps the network namespace of a VPS that has
// a link of the host.
func KeptNamespace(s *state.Store, name vps.Name) string { return runFile(s, name, "net") }

// LowerDir is a scratch directory for the layers of the root filesystem.
func LowerDir(s *state.Store, name vps.Name) string { return runFile(s, name, "lower") }

// StopRequest is a file that exists from a stop of the VPS to its next start. A
// monitor that finds it does not start the VPS again after a reboot from inside.
func StopRequest(s *state.Store, name vps.Name) string { return runFile(s, name, "stop") }

// Left is a file that exists when the croft run of an ephemeral VPS has left its end and
// its removal to the monitor, until the VPS is gone and its lock is free.
func Left(s *state.Store, name vps.Name) string {
	return filepath.Join(s.RunRoot, "left-"+string(name))
}

// Frozen is a file that exists while a command keeps the VPS frozen. If no
// process holds the lock of the VPS, that command was killed, and the next one
// thaws the VPS.
func Frozen(s *state.Store, name vps.Name) string { return runFile(s, name, "still") }

func runFile(s *state.Store, name vps.Name, file string) string {
	return filepath.Join(s.RunDir(name), file)
}

// Configured is a file that exists when croft has once written the guest's own
// files. From then on the files that croft does not own belong to the user.
func Configured(s *state.Store, name vps.Name) string {
	return filepath.Join(s.VPSDir(name), configured)
}

// DraftConfigured is that file of a VPS that is being created.
func DraftConfigured(d *state.Draft) string { return filepath.Join(d.Dir, configured) }

const configured = "configured"

// SeenRules is the directory with notes about the host's rules, forgotten when the host
// reboots.
func SeenRules(s *state.Store) string { return filepath.Join(s.RunRoot, "rules") }

// MonitorLog is the log of the VPS's monitor. It outlives the boots of the VPS.
func MonitorLog(s *state.Store, name vps.Name) string {
	return filepath.Join(s.LogDir(name), "monitor.log")
}

// Rootfs is the mount point of the root filesystem in the VPS's bundle.
func Rootfs(s *state.Store, name vps.Name) string {
	return filepath.Join(s.BundleDir(name), bundles.RootfsDir)
}

// DraftFS is the directory of the files of a VPS that is being created.
func DraftFS(d *state.Draft) string { return filepath.Join(d.Dir, "fs") }

// DraftMount is where the root filesystem of a VPS that is being created is mounted
// while croft writes files into it. It is removed before the VPS exists.
func DraftMount(d *state.Draft) string { return filepath.Join(d.Dir, "mount") }

// Containers is the directory of libcontainer's own files. It must not be in the
// directory of croft's binary: libcontainer covers that with an overlay
// (libcontainer/exeseal), and fails if it would cover its own files.
func Containers(s *state.Store) string { return filepath.Join(s.RunRoot, "containers") }

// Exists reports whether there is such a file. A file that cannot be looked at
// counts as missing.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
