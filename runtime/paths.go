package runtime

import (
	"path/filepath"

	"croft/bundles"
	"croft/internal/state"
)

// Files below a VPS's run directory, which its monitor makes and its end
// removes; internal/state names the others.
func notifySocket(s *state.Store, name string) string {
	return filepath.Join(givenDir(s, name), "notify")
}
func consoleSocket(s *state.Store, name string) string {
	return filepath.Join(s.RunDir(name), "console")
}
func bootedFile(s *state.Store, name string) string { return filepath.Join(s.RunDir(name), "booted") }
func bootIDFile(s *state.Store, name string) string {
	return filepath.Join(givenDir(s, name), "boot_id")
}
func kernelLogPipe(s *state.Store, name string) string {
	return filepath.Join(givenDir(s, name), "kmsg")
}

// givenDir has the files of the host's that a VPS gets: monitor.given.
func givenDir(s *state.Store, name string) string { return filepath.Join(s.RunDir(name), "given") }

// toldFile has the sum of the names that a running VPS was told last.
func toldFile(s *state.Store, name string) string { return filepath.Join(s.RunDir(name), "names") }

// upFile says which init of the VPS has been found to have booted.
func upFile(s *state.Store, name string) string { return filepath.Join(s.RunDir(name), "up") }

// keptNamespace is where a monitor keeps the network namespace of a VPS that
// has a link of the host's.
func keptNamespace(s *state.Store, name string) string { return filepath.Join(s.RunDir(name), "net") }

func lowerDir(s *state.Store, name string) string { return filepath.Join(s.RunDir(name), "lower") }

// stopRequest is there from when somebody asked a VPS to stop until its next
// start, so that a reboot from inside that happens meanwhile ends there.
func stopRequest(s *state.Store, name string) string { return filepath.Join(s.RunDir(name), "stop") }

// stillFile is there while a command of croft lets the VPS stand still. If no
// one holds the VPS's lock the command was killed, and the VPS is to go on.
func stillFile(s *state.Store, name string) string { return filepath.Join(s.RunDir(name), "still") }

// configuredFile is there as soon as croft has once written the guest's own
// files: from then on those that it does not own are the user's.
func configuredFile(s *state.Store, name string) string {
	return filepath.Join(s.VPSDir(name), "configured")
}

func rootfsDir(s *state.Store, name string) string {
	return filepath.Join(s.BundleDir(name), bundles.RootfsDir)
}

// containersDir is where libcontainer keeps its own files. It must not lie in
// the directory of croft's binary: libcontainer seals that by an overlay
// (libcontainer/exeseal) and cannot where it would cover itself.
func containersDir(s *state.Store) string { return filepath.Join(s.RunRoot, "containers") }

func draftFS(d *state.Draft) string { return filepath.Join(d.Dir, "fs") }
