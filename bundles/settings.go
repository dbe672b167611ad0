package bundles

import (
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
)

// Settings is the input of a bundle. Equal settings produce equal bundles on
// any host. Facts that depend on the machine (its devices, how high its limits
// go) were found out before and are fields here.
type Settings struct {
	Name     string
	UUID     string
	Hostname string

	Init         []string // argv of PID 1
	Env          []string // NAME=value, beside what every init is told
	ContainerEnv string   // value of container=; "" is "croft"

	// First is the host's id that root inside is, Size how many ids follow.
	// Size 0 is a privileged VPS, without a user namespace.
	First, Size uint32

	CgroupsPath string
	Limits      vps.Limits        // where 0 is a default, it is Capacity's
	Disks       Disks             // those that Limits is about
	Sysctls     map[string]string // namespaced ones only: vps.CheckSysctl
	Devices     []Device          // beside those that every VPS has, with a path of their own each
	NotifyFile  string            // the host's socket that becomes NotifySocket
	// CredentialsDir is the host's directory that becomes CredentialsPath; "" is none.
	CredentialsDir string
	InitFile       string // the host's program that becomes InitPath, for images without an init; "" otherwise

	// Capacity is the host's, of which a VPS without limits gets a share.
	Capacity Capacity
	// OOMScoreAdj is that of init (proc_pid_oom_score_adj(5)).
	OOMScoreAdj int
	// NoFile is the hard limit of open files, already clamped to the host's.
	NoFile uint64
	// HostUptime is the boot clock of the host; the VPS's own starts at zero.
	// Zero keeps the host's, for kernels without time namespaces (before 5.6).
	HostUptime time.Duration
	// HostCaps limits the capabilities of a privileged VPS to those that the
	// host itself has. Nil does not limit them.
	HostCaps []string
	// Allow names features that a VPS has only on request: vps.CheckAllow.
	Allow []string
	// Seccomp is the system-call filter.
	Seccomp vps.Seccomp
	// CapAdd and CapDrop are names of capabilities: vps.ParseCapability.
	CapAdd, CapDrop []string
	// Arch is the host's architecture in Go's words, for the system-call filter.
	Arch string
}

// A Device is a node that the VPS gets.
type Device struct {
	Path         string // inside
	Source       string // the host's node; "" is the one at Path
	Absent       bool   // the host has no node: only croft can make it, in a user namespace
	Type         string // "c" or "b"
	Major, Minor int64
	Mode         uint32 // permission bits
	UID, GID     uint32 // owner inside
	Access       string // of r, w and m; "" is all
}

// check refuses settings that make no bundle.
func (s Settings) check() error {
	if len(s.Init) == 0 {
		return fail.New(fail.State, "no init to run")
	}
	if s.Size != 0 && s.First == 0 {
		return fail.New(fail.Internal, "a user namespace whose root is the host's root")
	}
	for _, name := range s.Allow {
		if err := vps.CheckAllow(name, s.Size == 0); err != nil {
			return err
		}
	}
	if err := s.Seccomp.Check(s.Size == 0); err != nil {
		return err
	}
	for key := range s.Sysctls {
		if err := vps.CheckSysctl(key, s.Size == 0); err != nil {
			return err
		}
	}
	return nil
}
