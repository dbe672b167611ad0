package runtime

import (
	"io"
	"net/netip"
	"os"
	"time"

	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/events"
	"croft/runtime/look"
	"croft/runtime/observe"
	"croft/runtime/snapshots"
	"croft/runtime/trash"
	"croft/template"
	"croft/template/backups"
	"croft/template/layer"
	"croft/template/recipe"
	"croft/template/rootfs"
	"croft/template/trust"
)

// CreateOptions are the settings of a new VPS. The zero value is a VPS with one
// interface in the default network and default limits.
type CreateOptions struct {
	Template  string // NAME or NAME@DIGEST; built, or taken from the binary, if it does not exist
	Hostname  string // "" is the VPS's name
	Addresses []vps.AddAddress
	// Networks are the networks of its interfaces eth0, eth1 and so on. Empty means
	// the default network; "none" alone means no interface except lo.
	Networks  []vps.AddInterface
	Rates     []vps.SetRate
	Limits    vps.Limits
	DiskBytes int64 // limit of its own files; 0 is none
	Inodes    int64 // limit of their number; 0 is as DiskBytes says
	DNS       vps.DNS
	Published []vps.Publication // ports of the host that lead to it
	Mounts    []vps.Mount       // directories of the host, volumes and tmpfs
	Sysctls   map[string]string
	Env       []string
	Devices   []vps.Device // of the host
	Labels    map[string]string
	// Description is one line of text for people.
	Description string
	Allow       []string // features that VPSs do not have by default: vsock, io_uring, capabilities
	CapAdd      []string // capabilities that VPSs do not have by default, or vps.AllCapabilities
	CapDrop     []string // capabilities that it does not have
	IDSize      uint32   // 0 is DefaultIDs, or fewer if the host does not have so many
	// Credentials are secrets for its services, with their values.
	Credentials []vps.SetCredential
	// FirstBoot is a script that runs once, after the first boot; nil is none.
	FirstBoot []byte
	// Fit says which steps make the files of the template fit at the first start.
	Fit vps.Fit
	// Inside is what its own files get before its first start.
	Inside vps.Inside
	// Connections is the limit of connections of each interface in the host's
	// table: a number, UnlimitedConnections or DefaultConnections.
	Connections int64
	// Privileged leaves out the user namespace: root inside is root of the host.
	// Only capabilities, the system-call filter and read-only files restrict it.
	// Use it for software that needs it and for users whom you trust.
	Privileged bool
	Storage    vps.Storage   // the kind of its root filesystem
	NoDmesg    bool          // it has no kernel messages of its own
	Seccomp    vps.Seccomp   // its filter of system calls
	OnBoot     vps.OnBoot    // whether a boot of the host starts it
	BootOrder  int           // higher ones start first and stop last
	StopTime   time.Duration // how long a stop may take before it is killed; 0 is DefaultStopTimeout
	Protected  bool          // Destroy refuses it until Change takes the protection off
	Restart    vps.Restart   // whether it starts again after an end that no command asked for
	Ephemeral  bool
	IfMissing  bool // no-op if the VPS exists

	runner vps.Runner                // an ephemeral VPS ends with it
	like   *vps.VPS                  // a clone: it has these settings, whatever the others are
	full   bool                      // of a clone: it shares no files with the other
	fill   func(rootfs.Rootfs) error // makes its files, which are not those of the template
	held   []state.HeldInterface     // an import: its interfaces should own this
	wanted []netip.Addr              // of these, what it must get
	ids    vps.IDRange               // an import: that it must have; zero: any
	move   *state.Move               // an import: it is moved from another host, and incoming. It needs what held has
	mapped []string                  // networks of such a VPS in which it needs nothing of that

	snapshots  []state.Snapshot // an import: these, with images that have their files
	incomplete bool             // edits follow, and until then it is incomplete: complete
	started    bool             // an import: it has had its first start
	fitted     []string         // the steps that this made
}

// SnapshotOptions are the options of CreateSnapshot.
type SnapshotOptions struct {
	Name        string        // "": the time
	Expire      time.Duration // how long until prune deletes it; 0: never
	Description string        // one line of text for people
}

// A Wait tells start when to return.
type Wait int

// Events that start can wait for.
const (
	WaitNone    Wait = iota // init runs
	WaitBooted              // init has booted
	WaitNetwork             // booted, and its addresses answer
)

// StartOptions are the options of start.
type StartOptions struct {
	Wait    Wait
	Timeout time.Duration // for Wait; 0 is DefaultBootTimeout
	Cold    bool          // boot, and remove the checkpoint of the VPS
}

// StopOptions are the options of stop and restart.
type StopOptions struct {
	Timeout  time.Duration // after which it is killed; 0 is the VPS's own timeout
	Fast     bool          // kill at once
	IfExists bool
}

// DestroyOptions are the options of destroy.
type DestroyOptions struct {
	Force    bool // kill a running VPS
	IfExists bool
	Keep     time.Duration // how long it can be restored; 0: its files are deleted at once
}

// RestoreOptions are the options of a restore from the trash.
type RestoreOptions struct {
	// Replace gives the VPS free addresses instead of those that another owner has
	// meanwhile, and leaves out published ports that another VPS has. Otherwise these
	// are fail.Taken.
	Replace bool
}

// Stdio has the streams of a command inside a VPS.
type Stdio struct {
	In       *os.File
	Out, Err *os.File
}

// ExecOptions describe a command to run inside a VPS.
type ExecOptions struct {
	Args     []string
	Env      []string // NAME=VALUE, added to PATH HOME USER LOGNAME TERM LANG
	User     string   // NAME|UID[:GROUP|GID]; "" is root
	Cwd      string   // "" is the user's home directory, or / if that is missing
	Terminal bool     // run it on a terminal; Stdio.In must be one
	// Login runs it in a login session of the user, made by su(1) of the VPS. With
	// PAM that is a session of systemd-logind, with XDG_RUNTIME_DIR.
	Login bool
	Stdio Stdio

	bounded bool // kill it when the context is done
}

// CloneOptions is what a clone may be told.
type CloneOptions struct {
	From     vps.Name
	Snapshot string     // of From; "": its files as they are now
	Full     bool       // copy the files
	Edits    []vps.Edit // change its settings

	ephemeral bool
	runner    vps.Runner // an ephemeral VPS ends with it
}

// RunOptions are the options of run.
type RunOptions struct {
	CreateOptions
	Name vps.Name // "" is a random name
	// Clone is the VPS to clone; nil: create a VPS with CreateOptions. Otherwise these
	// do not count.
	Clone  *CloneOptions
	Remove bool
	Detach bool // start the VPS, but do not run a command in it
	Wait   Wait
	Exec   ExecOptions         // without Args: a shell
	Named  func(name vps.Name) // called with the name when the VPS exists; may be nil
}

// A Status is one word for what a VPS does.
type Status = observe.Status

// The statuses that list and inspect print.
const (
	StatusStopped    = observe.Stopped
	StatusStarting   = observe.Starting
	StatusRunning    = observe.Running
	StatusStopping   = observe.Stopping
	StatusRestarting = observe.Restarting
	StatusPaused     = observe.Paused
	StatusOrphaned   = observe.Orphaned
	StatusBroken     = observe.Broken
)

// Types of the commands that look at VPSs: see package look.
type (
	Info           = look.Info
	InterfaceInfo  = look.InterfaceInfo
	DiskInfo       = look.DiskInfo
	LogOptions     = look.LogOptions
	Condition      = look.Condition
	End            = state.End
	ProcessInfo    = look.ProcessInfo
	Stats          = look.Stats
	StatsOptions   = look.StatsOptions
	CPUStats       = look.CPUStats
	MemoryStats    = look.MemoryStats
	PIDStats       = look.PIDStats
	IOStats        = look.IOStats
	Pressure       = look.Pressure
	Stall          = look.Stall
	InterfaceStats = look.InterfaceStats
)

// An Event is something that happened to a VPS: see package events.
type Event = events.Event

// EventTypes returns all values of Event.Event.
func EventTypes() []string { return events.All() }

// Types of the commands for the trash: see package trash.
type (
	TrashInfo = trash.Info
	// A SnapshotInfo describes a snapshot.
	SnapshotInfo = snapshots.Info
	TrashChoice  = trash.Choice
)

// ParseTrashChoice reads NAME or NAME@ID.
func ParseTrashChoice(s string) (TrashChoice, error) { return trash.ParseChoice(s) }

// Conditions of Wait.
const (
	UntilRunning = look.UntilRunning
	UntilStopped = look.UntilStopped
	UntilBooted  = look.UntilBooted
	UntilNetwork = look.UntilNetwork
	UntilReboot  = look.UntilReboot
)

// Descriptions of settings, as they are saved and as they are applied.
type (
	FirewallInfo       = network.FirewallInfo
	FirewallPolicyInfo = network.FirewallPolicyInfo
	FirewallRuleInfo   = network.FirewallRuleInfo
	FirewallLineInfo   = network.FirewallLineInfo
	RoutingInfo        = network.RoutingInfo
	RouteInfo          = network.RouteInfo
	RouteRuleInfo      = network.RouteRuleInfo
	PublishedInfo      = network.PublishedInfo
	PublicationInfo    = network.PublicationInfo
)

// Types of templates, so that the command line needs to import only this package.
type (
	TemplateInfo  = template.Image
	TemplateBuild = template.BuildOptions
	// TemplateSettings are a part of TemplateBuild that the template keeps for UpdateTemplate.
	TemplateSettings = template.BuildSettings
	TemplateImport   = template.ImportOptions
	TemplateCreate   = template.DeriveOptions
	TemplateExport   = template.ExportOptions
	TemplateFormat   = template.Format
	TemplatePull     = template.PullOptions
	// TemplateRefresh are the options of UpdateTemplate and CheckTemplate.
	TemplateRefresh = template.RefreshOptions
	TemplateCheck   = template.Checked
	TemplatePush    = template.PushOptions
	SigningKey      = trust.Key // signs images that are pushed
	ImageServer     = template.Remote
	ImageSearch     = template.SearchOptions
	ServerImage     = template.ServerImage
	Compression     = backups.Compression
	RecipeInfo      = recipe.Info
	Progress        = template.Progress
	Update          = template.Update
)

// TemplateOutdated is the Freshness of a template that has a newer image at its origin.
const TemplateOutdated = template.Outdated

// Unlimited is a size without a limit.
const Unlimited = layer.Unlimited

// Default timeouts.
const (
	DefaultBootTimeout = 90 * time.Second
	DefaultStopTimeout = vps.DefaultStopTimeout
)

// Options are the options of a Manager.
type Options struct {
	Root          string        // "" is /var/lib/croft
	Run           string        // "" is /run/croft
	Config        string        // the directory of what the administrator configures; "" is /etc/croft
	CgroupManager string        // auto, systemd or cgroupfs; "" is auto
	LockTimeout   time.Duration // how long to wait for a lock; 0: do not wait
	Warn          func(string)  // gets warnings of one line; nil drops them
	Progress      Progress      // gets the progress of long work; nil drops it
	Debug         io.Writer     // where the log goes; nil drops it
	Command       string        // the holder of locks, as in "croft start web"
	CommandLine   string        // the whole command line, quoted for a shell; "" is unknown
	Query         bool          // create no directories; a Root without files of croft is empty
	ReadOnly      bool          // change and repair nothing; only List, Templates and Networks may be called
	// KeepHostLimits reports whether a start must not raise limits of the host's kernel;
	// nil: it may. It is asked when a limit is too low.
	KeepHostLimits func() (bool, error)
}
