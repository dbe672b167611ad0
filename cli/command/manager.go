package command

import (
	"context"
	"encoding/json"
	"io"
	"syscall"
	"time"

	"croft/internal/vps"
	"croft/runtime"
)

// A Manager does what the commands ask for. It is a *runtime.Manager, or a fake in
// tests.
type Manager interface {
	Create(ctx context.Context, name vps.Name, o runtime.CreateOptions) (runtime.Info, error)
	Start(ctx context.Context, name vps.Name, o runtime.StartOptions) error
	Stop(ctx context.Context, name vps.Name, o runtime.StopOptions) error
	Restart(ctx context.Context, name vps.Name, o runtime.StopOptions, s runtime.StartOptions) error
	Kill(ctx context.Context, name vps.Name, signal syscall.Signal) error
	Pause(ctx context.Context, name vps.Name) error
	Checkpoint(ctx context.Context, name vps.Name) error
	Resume(ctx context.Context, name vps.Name) error
	Destroy(ctx context.Context, name vps.Name, o runtime.DestroyOptions) error
	Trash(ctx context.Context, choices ...runtime.TrashChoice) ([]runtime.TrashInfo, error)
	TrashNames() ([]runtime.TrashChoice, error)
	Restore(ctx context.Context, c runtime.TrashChoice, name vps.Name, o runtime.RestoreOptions) (runtime.Info, error)
	DeleteTrash(ctx context.Context, choices ...runtime.TrashChoice) error
	Clone(ctx context.Context, to vps.Name, o runtime.CloneOptions) (runtime.Info, error)
	CreateSnapshot(ctx context.Context, name vps.Name, o runtime.SnapshotOptions) (runtime.SnapshotInfo, error)
	Snapshots(ctx context.Context, names ...vps.Name) ([]runtime.SnapshotInfo, error)
	SnapshotSettings(ctx context.Context, name vps.Name, snapshot string) (vps.VPS, error)
	RestoreSnapshot(ctx context.Context, name vps.Name, snapshot string) error
	MountSnapshot(ctx context.Context, name vps.Name, snapshot, target string) error
	UmountSnapshot(ctx context.Context, name vps.Name, snapshot string) error
	DeleteSnapshot(ctx context.Context, name vps.Name, snapshot string) error
	Reinstall(ctx context.Context, name vps.Name, o runtime.ReinstallOptions) (snapshot string, err error)
	Rebase(ctx context.Context, name vps.Name, o runtime.RebaseOptions) (runtime.RebasePlan, error)
	Convert(ctx context.Context, name vps.Name, to vps.Storage) error
	Diff(ctx context.Context, name vps.Name, old, new string, emit func(runtime.FileChange) error) error
	PruneSnapshots(ctx context.Context, name vps.Name) ([]string, error)
	Export(ctx context.Context, name vps.Name, w io.Writer, o runtime.ExportOptions) (runtime.BackupResult, error)
	Push(ctx context.Context, name vps.Name, ref string, o runtime.PushOptions) (runtime.BackupResult, error)
	CreateFrom(ctx context.Context, ref string, o runtime.ImportOptions) (runtime.Info, error)
	Import(ctx context.Context, r io.Reader, o runtime.ImportOptions) (runtime.Info, error)
	OpenForeign(ctx context.Context, o runtime.ForeignOptions) (*runtime.Foreign, error)
	Adopt(ctx context.Context, name vps.Name, f *runtime.Foreign, o runtime.AdoptOptions) (runtime.Info, error)
	Move(ctx context.Context, name vps.Name, o runtime.MoveOptions) (runtime.MoveResult, error)
	ReceiveMove(ctx context.Context, in io.Reader, out io.Writer) error
	SettleMove(ctx context.Context, name vps.Name, dial func(ctx context.Context, host string) (runtime.MoveLink, error)) error
	AbortMove(ctx context.Context, name vps.Name, dial func(ctx context.Context, host string) (runtime.MoveLink, error)) error
	TakeMove(ctx context.Context, name vps.Name) error
	Run(ctx context.Context, o runtime.RunOptions) (status int, err error)
	Change(ctx context.Context, name vps.Name, edits ...vps.Edit) error
	Settings(ctx context.Context, name vps.Name) (vps.VPS, error)
	Rename(ctx context.Context, old, new vps.Name) error

	Exec(ctx context.Context, name vps.Name, o runtime.ExecOptions) (status int, err error)
	Enter(ctx context.Context, name vps.Name, o runtime.ExecOptions) (status int, err error)
	Console(ctx context.Context, name vps.Name, s runtime.Stdio) error
	Mount(ctx context.Context, name vps.Name) (string, error)
	Umount(ctx context.Context, name vps.Name) error
	Copy(ctx context.Context, from, to runtime.CopyEnd, o runtime.CopyOptions) error
	ReadText(ctx context.Context, name vps.Name, path string) (runtime.FileText, error)
	WriteText(ctx context.Context, name vps.Name, path string, was runtime.FileText, content []byte) error

	Logs(ctx context.Context, name vps.Name, o runtime.LogOptions, w io.Writer) error
	Events(ctx context.Context, follow bool, tell func(runtime.Event) error) error
	List(ctx context.Context) ([]runtime.Info, error)
	Inspect(ctx context.Context, name vps.Name) (runtime.Info, error)
	Bundle(ctx context.Context, name vps.Name) (json.RawMessage, error)
	Stats(ctx context.Context, names []vps.Name, o runtime.StatsOptions) ([]runtime.Stats, error)
	Processes(ctx context.Context, name vps.Name) ([]runtime.ProcessInfo, error)
	Wait(ctx context.Context, name vps.Name, until runtime.Condition, timeout time.Duration) (*runtime.End, error)
	Names() ([]vps.Name, error)
	NamesHere() ([]vps.Name, error)
	Doctor(ctx context.Context, name vps.Name) ([]runtime.Finding, error)
	DoctorHost(ctx context.Context) ([]runtime.Finding, error)

	Firewall(ctx context.Context, name vps.Name) (runtime.FirewallInfo, error)
	Routing(ctx context.Context, name vps.Name) (runtime.RoutingInfo, error)
	Published(ctx context.Context, name vps.Name) (runtime.PublishedInfo, error)
	AllPublished(ctx context.Context) ([]runtime.PublishedInfo, error)

	Templates(ctx context.Context) ([]runtime.TemplateInfo, error)
	Template(ctx context.Context, name string) (runtime.TemplateInfo, error)
	BuildTemplate(ctx context.Context, name string, o runtime.TemplateBuild) (runtime.TemplateInfo, error)
	CreateTemplate(ctx context.Context, name string, from vps.Name, o runtime.TemplateCreate) (runtime.TemplateInfo, error)
	ImportTemplate(ctx context.Context, name string, r io.Reader, o runtime.TemplateImport) (runtime.TemplateInfo, error)
	ExportTemplate(ctx context.Context, name string, w io.Writer, o runtime.TemplateExport) error
	PullTemplate(ctx context.Context, ref string, o runtime.TemplatePull) (runtime.TemplateInfo, error)
	PushTemplate(ctx context.Context, name, ref string, o runtime.TemplatePush) error
	TagTemplate(ctx context.Context, ref, name string, replace bool) (runtime.TemplateInfo, error)
	UntagTemplate(ctx context.Context, name string) error
	UpdateTemplate(ctx context.Context, name string, o runtime.TemplateRefresh) (image runtime.TemplateInfo, changed bool, err error)
	CheckTemplate(ctx context.Context, name string, o runtime.TemplateRefresh) (runtime.TemplateCheck, error)
	PruneTemplates(ctx context.Context) error
	SearchImages(ctx context.Context, server string, words []string, o runtime.ImageSearch) ([]runtime.ServerImage, error)
	ImageServers(ctx context.Context) ([]runtime.ImageServer, error)
	AddImageServer(ctx context.Context, r runtime.ImageServer, replace bool) error
	RemoveImageServer(ctx context.Context, name string) error
	RemoveTemplate(ctx context.Context, name string) error

	CheckHost(ctx context.Context) ([]runtime.HostCheck, error)
	BootHost(ctx context.Context, o runtime.StartOptions, tell func(runtime.HostResult)) ([]runtime.HostResult, error)
	ShutdownHost(ctx context.Context, o runtime.ShutdownOptions, tell func(runtime.HostResult)) ([]runtime.HostResult, error)

	Volumes(ctx context.Context) ([]runtime.VolumeInfo, error)
	Volume(ctx context.Context, name string) (runtime.VolumeInfo, error)
	CreateVolume(ctx context.Context, name string) error
	RemoveVolume(ctx context.Context, name string) error

	Networks(ctx context.Context) ([]runtime.NetworkInfo, error)
	Network(ctx context.Context, name string) (runtime.NetworkInfo, error)
	CreateNetwork(ctx context.Context, s runtime.NetworkSettings) (runtime.NetworkInfo, error)
	SetNetwork(ctx context.Context, name string, c runtime.NetworkChange) error
	RepairNetwork(ctx context.Context, name string) error
	RemoveNetwork(ctx context.Context, name string, force bool) error
}

// A Cookbook has the recipes of templates. Every user may read them, so they need
// no working Manager, and no root.
type Cookbook interface {
	Recipes() ([]runtime.RecipeInfo, error)
	Recipe(name string) (string, error)
}
