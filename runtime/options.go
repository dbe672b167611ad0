package runtime

import (
	"io"
	"net/netip"
	"os"
	"time"

	"croft/internal/state"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/look"
	"croft/runtime/observe"
	"croft/template"
	"croft/template/layer"
	"croft/template/recipe"
)

// CreateOptions is what create and run may ask of a new VPS. The zero value
// is a VPS with one interface on the default network and no limits.
type CreateOptions struct {
	Template  string // a name, or name@digest; built or taken from the binary if it is not there
	Hostname  string // "" is the VPS's name
	Addresses []netip.Addr
	// Networks are those that it has an interface in each: eth0, eth1 and so on.
	// None is the default network; "none" alone leaves it with lo.
	Networks  []string
	Rates     []vps.SetRate
	Limits    vps.Limits
	DNS       vps.DNS
	Published []vps.Publication // ports of the host that lead to it
	Sysctls   map[string]string
	Env       []string
	Labels    map[string]string
	Allow     []string // what VPSs do not have by default: vsock, io_uring, capabilities
	IDSize    uint32   // 0 is DefaultIDs, or fewer if the host has no more
	// Connections is how many connections each interface may have in the host's
	// table at once: a number, UnlimitedConnections or DefaultConnections.
	Connections int64
	// Privileged gives it no user namespace: root inside is root of the host,
	// held back by capabilities, the system-call filter and read-only files
	// alone. It is for software that cannot do with less, and for nobody whom
	// the host's owner does not trust.
	Privileged bool
	OnBoot     vps.OnBoot    // whether a boot of the host starts it
	BootOrder  int           // higher ones start first and stop last
	StopTime   time.Duration // what a stop has before it is killed; 0 is DefaultStopTimeout
	Ephemeral  bool
	IfMissing  bool // an existing VPS of that name is success, and is left as it is

	runner vps.Runner // an ephemeral one ends with it
}

// A Wait says what start returns after.
type Wait int

// What start can wait for.
const (
	WaitNone    Wait = iota // init runs
	WaitBooted              // its init says that it has booted
	WaitNetwork             // booted, and its addresses answer
)

// StartOptions is what start may be told.
type StartOptions struct {
	Wait    Wait
	Timeout time.Duration // for Wait; 0 is DefaultBootTimeout
}

// StopOptions is what stop and restart may be told.
type StopOptions struct {
	Timeout  time.Duration // until it is killed; 0 is the VPS's own
	Fast     bool          // kill at once
	IfExists bool
}

// DestroyOptions is what destroy may be told.
type DestroyOptions struct {
	Force    bool // a running one is killed first
	IfExists bool
}

// Stdio is what a command inside a VPS is connected to.
type Stdio struct {
	In       *os.File
	Out, Err *os.File
}

// ExecOptions is a command to run inside a VPS.
type ExecOptions struct {
	Args     []string
	Env      []string // NAME=value, beside the clean PATH HOME USER TERM LANG
	User     string   // name|uid[:group|gid], "" is root
	Cwd      string   // "" is the user's home, or / where that is absent
	Terminal bool     // give it a terminal; Stdio.In has to be one
	// Login runs it in a login session of the user, as the VPS's own su(1)
	// makes one: with PAM where the VPS has it, and so with a session of
	// systemd-logind, a user manager and XDG_RUNTIME_DIR.
	Login bool
	Stdio Stdio

	bounded bool // kill it when the context ends; else that is up to the person
}

// RunOptions is create, start, exec and, with Remove, destroy.
type RunOptions struct {
	CreateOptions
	Name   string // "" makes one up
	Remove bool
	Detach bool // start the VPS and run nothing in it
	Wait   Wait
	Exec   ExecOptions       // no Args: enter
	Named  func(name string) // is told the VPS's name once it exists; may be nil
}

// A Status is one word for what a VPS does.
type Status = observe.Status

// The statuses that list and inspect print.
const (
	StatusStopped  = observe.Stopped
	StatusStarting = observe.Starting
	StatusRunning  = observe.Running
	StatusStopping = observe.Stopping
	StatusPaused   = observe.Paused
	StatusOrphaned = observe.Orphaned
	StatusBroken   = observe.Broken
)

// What commands that look at VPSs return and take: see package look.
type (
	Info           = look.Info
	InterfaceInfo  = look.InterfaceInfo
	LogOptions     = look.LogOptions
	Condition      = look.Condition
	End            = state.End
	ProcessInfo    = look.ProcessInfo
	Stats          = look.Stats
	CPUStats       = look.CPUStats
	MemoryStats    = look.MemoryStats
	PIDStats       = look.PIDStats
	IOStats        = look.IOStats
	InterfaceStats = look.InterfaceStats
)

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

// TemplateInfo, BuildOptions and the like are the template package's own;
// they stand here so that the command line needs to know one package.
type (
	TemplateInfo   = template.Image
	TemplateBuild  = template.BuildOptions
	TemplateImport = template.ImportOptions
	TemplateCreate = template.DeriveOptions
	TemplateExport = template.ExportOptions
	TemplateFormat = template.Format
	TemplatePull   = template.PullOptions
	TemplatePush   = template.PushOptions
	RecipeInfo     = recipe.RecipeInfo
	Progress       = template.Progress
)

// Unlimited is a size that has no end.
const Unlimited = layer.Unlimited

// Defaults of the timeouts.
const (
	DefaultBootTimeout = 90 * time.Second
	DefaultStopTimeout = 60 * time.Second
)

// Options is where a Manager keeps its files and how it talks.
type Options struct {
	Root          string        // "" is /var/lib/croft
	Run           string        // "" is /run/croft
	CgroupManager string        // auto, systemd or cgroupfs; "" is auto
	LockTimeout   time.Duration // how long to wait for a busy VPS; 0 is not at all
	Warn          func(string)  // one line that a person should know, nil drops it
	Progress      Progress      // long work says how far it is; nil drops it
	Debug         io.Writer     // where the log goes; nil drops it
	Command       string        // who holds a lock: "croft start web"
	CommandLine   string        // the whole command line, quoted for a shell; "" is unknown
	Query         bool          // make no directories: a Root that holds nothing of croft is empty
	ReadOnly      bool          // make, repair and change nothing: List, Templates and Networks are all that may be called
}
