package runtime

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/inherited"
	"croft/internal/state"
	"croft/internal/trace"
	"croft/internal/vps"
	"croft/runtime/container"
	"croft/runtime/endreason"
	"croft/runtime/events"
	"croft/runtime/holder"
	"croft/runtime/hooks"
	"croft/runtime/monitorlog"
	"croft/runtime/paths"
	"croft/template/rootfs"
)

// MonitorCommand is the hidden command that makes croft a monitor. main looks for
// it before it parses options.
const MonitorCommand = "monitor"

// spawnHow tells a new monitor what to do.
type spawnHow string

const (
	spawnBoot  spawnHow = "boot"  // start a stopped VPS
	spawnWait  spawnHow = "wait"  // the same, but a VPS without an init waits for commands
	spawnAdopt spawnHow = "adopt" // take over a running VPS whose monitor was killed
)

// Descriptors that a new monitor gets.
const (
	lifeFD   = 3
	reportFD = 4
)

// A report is what a monitor sends to the command that started it: one line of
// JSON, when init runs or when the start has failed.
type report struct {
	Kind     fail.Kind `json:"kind,omitempty"` // 0 if init runs
	Message  string    `json:"message,omitempty"`
	Hint     string    `json:"hint,omitempty"`
	Warnings []string  `json:"warnings,omitempty"`
}

func reportOf(err error, warnings []string) report {
	if err == nil {
		return report{Warnings: warnings}
	}
	return report{Kind: fail.KindOf(err), Message: err.Error(), Hint: fail.HintOf(err), Warnings: warnings}
}

func (r report) err() error {
	if r.Kind == 0 {
		return nil
	}
	return &fail.Error{Kind: r.Kind, Msg: r.Message, Hint: r.Hint}
}

// A spawner starts monitors as processes: this program again, in its own session
// and mount namespace.
type spawner struct {
	store   *state.Store
	warn    func(string)
	cgroups container.CgroupManager
	config  string
}

// startClean starts a process that does not inherit limits, priorities and the like
// of this one.
func startClean(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread() // never unlocked: the thread ends here
		inherited.DropThread()
		done <- cmd.Start()
	}()
	return <-done
}

func (s spawner) Spawn(ctx context.Context, name vps.Name, life *os.File, how spawnHow) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find croft's own binary: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make monitor's pipe: %w", err)
	}
	defer read.Close()
	cmd := exec.Command(self)
	cmd.Args = []string{"croft", MonitorCommand, string(name), string(how), s.store.Root, s.store.RunRoot, string(s.cgroups), s.config}
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, trace.Environment()...) // for iptables and modprobe
	cmd.ExtraFiles = []*os.File{life, write}
	// In its own session neither Ctrl-C on the terminal nor the end of the
	// terminal reaches the VPS. Cloneflags keeps the propagation of the host's
	// mounts, so the monitor can choose to follow unmounts. Unshareflags would
	// make all mounts private.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWNS}
	spawned := trace.Span("start the monitor's process")
	err = startClean(cmd)
	spawned()
	write.Close()
	if err != nil {
		return fmt.Errorf("start monitor: %w", err)
	}
	// Ctrl-C does not end the start: the VPS would be left half started.
	line, err := bufio.NewReader(read).ReadBytes('\n')
	if errors.Is(err, io.EOF) {
		state, _ := cmd.Process.Wait()
		return fail.New(fail.Internal, "the monitor of %s died (%v)", name, state)
	}
	if err != nil {
		return fmt.Errorf("hear from monitor: %w", err)
	}
	var r report
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("understand monitor: %w", err)
	}
	for _, w := range r.Warnings {
		s.warn(w)
	}
	if err := r.err(); err != nil {
		_, _ = cmd.Process.Wait() // it sweeps before it ends
		return err
	}
	return nil
}

// monitorEnded is the spawnHow with which the holder executes croft when the init
// of the VPS has ended.
const monitorEnded spawnHow = "ended"

// monitorHooks is the spawnHow of a process that runs the hooks of a VPS that its monitor
// has started again.
const monitorHooks spawnHow = "hooks"

// monitorFirstBoot is the spawnHow of a process that runs the first-boot script of a VPS.
const monitorFirstBoot spawnHow = "first-boot"

// A monitor is the process that a running VPS belongs to, as long as that process
// is croft: from the start until init runs, and again from the end of init on. In
// between it is the holder. It becomes the holder by execve(2), so it stays the
// parent of init and needs little memory.
type monitor struct {
	*Manager
	name     vps.Name
	how      spawnHow
	cgroups  string // the cgroup manager to use
	life     *os.File
	report   *os.File // nil when the report was sent
	log      monitorlog.Log
	warnings []string

	restarts bool // it starts the VPS again as the restart policy says

	inScope func() error // waits until this process is in its own scope
}

// arguments are those of a process of this monitor.
func (mon *monitor) arguments(how spawnHow) []string {
	return []string{"croft", MonitorCommand, string(mon.name), string(how), mon.store.Root, mon.store.RunRoot, mon.cgroups, mon.config}
}

// configOf returns the directory of the configuration in the arguments of Monitor. The
// monitor of an older croft does not have it.
func configOf(args []string) string {
	if len(args) < 6 || strings.HasPrefix(args[5], "--") {
		return ""
	}
	return args[5]
}

// Monitor is the command "croft monitor NAME HOW ROOT RUN CGROUPS CONFIG …". If it returns,
// it returns the exit status.
func Monitor(args []string) int {
	if len(args) < 5 {
		fmt.Fprintln(os.Stderr, "croft: monitor is for croft itself")
		return int(fail.Usage)
	}
	name, err := vps.ParseName(args[0])
	if err != nil {
		fmt.Fprintf(os.Stderr, "croft: %v\n", err)
		return int(fail.Usage)
	}
	how := spawnHow(args[1])
	mon := &monitor{name: name, how: how, cgroups: args[4]}
	var end holder.End
	switch how {
	case spawnBoot, spawnWait, spawnAdopt:
		unix.CloseOnExec(lifeFD)
		unix.CloseOnExec(reportFD)
		mon.life, mon.report = os.NewFile(lifeFD, "life"), os.NewFile(reportFD, "report")
	case monitorEnded:
		if end, err = holder.ParseEnd(args); err == nil {
			unix.CloseOnExec(end.Life)
			mon.life = os.NewFile(uintptr(end.Life), "life")
		}
	case monitorHooks:
	case monitorFirstBoot:
		unix.CloseOnExec(lifeFD)
	default:
		err = fail.New(fail.Usage, "no such monitor: %s", how)
	}
	logrus.SetLevel(logrus.WarnLevel)
	if err == nil {
		mon.Manager, err = New(Options{Root: args[2], Run: args[3], CgroupManager: args[4], Config: configOf(args), Command: "croft monitor " + string(mon.name),
			Warn: func(w string) { mon.warnings = append(mon.warnings, w); mon.log.Printf("warning: %s", w) }})
	}
	if err == nil {
		var e error
		if mon.log, e = monitorlog.Open(paths.MonitorLog(mon.store, mon.name)); e != nil {
			mon.warn(e.Error())
		}
		logrus.SetOutput(os.Stderr) // warnings and errors of libcontainer
		mon.hookLimit = monitorHookLimit
		if how == monitorHooks {
			mon.leaveMonitor()
			mon.afterwards(context.Background(), hooks.PostStart, mon.settings())
			return 0
		}
		if how == monitorFirstBoot {
			mon.firstBootApart(os.NewFile(lifeFD, "first-boot"))
			return 0
		}
		err = mon.run(how, end)
		if e := mon.containers.RemoveOwnScope(string(mon.name)); err == nil {
			err = e
		}
	}
	if err != nil {
		mon.log.Printf("%v", err)
	}
	mon.tell(err)
	if err != nil {
		return int(fail.KindOf(err))
	}
	return 0
}

// monitorOOMScore keeps the kernel from killing monitors when memory runs out,
// because a VPS cannot reboot without its monitor. It needs CAP_SYS_RESOURCE. The
// init of a VPS has 0.
const monitorOOMScore = -900

// shelterPatience is how long systemd may take to make a scope.
const shelterPatience = 30 * time.Second

// run returns when the VPS has ended, or if it could not be started.
func (mon *monitor) run(how spawnHow, end holder.End) error {
	// This process can have inherited ignored signals. A signal that it catches
	// has its default action again after execve(2), so init ignores none.
	signal.Notify(make(chan os.Signal, 8), unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT)
	inherited.DropProcess()
	inherited.SetOOMScore(monitorOOMScore)
	ctx := context.Background()
	if how == monitorEnded { // it is in its scope already
		mon.inScope = func() error { return nil }
		return mon.afterInit(ctx, end)
	}
	mon.inScope = mon.moveToOwnScope(ctx)
	defer func() { _ = mon.inScope() }() // the caller removes the scope
	// Mounts made here stay here, and mounts that the host unmounts go away here.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if how == spawnAdopt {
		if err := mon.inScope(); err != nil {
			return err
		}
		return mon.adopt()
	}
	return mon.bootOnce(ctx)
}

// moveToOwnScope begins to move this process to a scope of its own, which is mostly waiting
// for the kernel or for systemd. The function that it returns waits until that is done. No
// process of the VPS may exist before: it would be in the cgroup of whoever starts it.
func (mon *monitor) moveToOwnScope(ctx context.Context) (wait func() error) {
	done := make(chan error, 1)
	go func() {
		defer trace.Span("move the monitor to its scope")()
		bounded, cancel := context.WithTimeout(ctx, shelterPatience)
		defer cancel()
		done <- mon.containers.MoveToOwnScope(bounded, string(mon.name))
	}()
	return sync.OnceValue(func() error {
		defer trace.Span("wait for the scope")()
		return <-done
	})
}

// bootOnce is boot that records why it failed.
func (mon *monitor) bootOnce(ctx context.Context) error {
	// If the host's mounts are private, croft umount does not reach the mounts of
	// croft mount here. A monitor of an older croft left mounts too.
	err := rootfs.UnmountBelow(filepath.Dir(mon.store.VPSDir(mon.name)))
	if err == nil {
		err = mon.boot(ctx)
	}
	for errors.Is(err, errChanged) && !mon.askedToStop() {
		mon.log.Printf("start again: %v", err)
		err = mon.boot(ctx)
	}
	if err == nil {
		return nil // not reached: this process is the holder by then
	}
	if e := mon.recordFailure(ctx, err); e != nil {
		err = errors.Join(err, e)
	}
	return err
}

// leaveMonitor takes this process, which a monitor has started, out of what is for the
// monitor alone: its cgroup, which would stay when the monitor ends, and its OOM score.
func (mon *monitor) leaveMonitor() {
	inherited.SetOOMScore(0)
	if err := mon.containers.RemoveOwnScope(string(mon.name)); err != nil {
		mon.warn(err.Error())
	}
}

// rootfs describes v's root filesystem, mounted where only this monitor sees it.
func (mon *monitor) rootfs(v vps.VPS) (rootfs.Rootfs, error) {
	root, err := mon.Manager.rootfs(v)
	root.Target = mon.store.RootfsDir()
	return root, err
}

// tell sends the report, once.
func (mon *monitor) tell(err error) {
	if mon.report == nil {
		return
	}
	trace.Instant("report to the command")
	line, e := json.Marshal(reportOf(err, mon.warnings))
	if e == nil {
		_, _ = mon.report.Write(append(line, '\n')) // the command may have ended
	}
	mon.report.Close()
	mon.report = nil
}

// recordFailure records that a start failed.
func (mon *monitor) recordFailure(ctx context.Context, cause error) error {
	run := mon.lastRun()
	run.Restarts.At = nil
	run.Schema, run.State, run.Init, run.Monitor = state.Schema, state.Ended, state.Process{}, state.Process{}
	run.End = &state.End{Time: time.Now().UTC(), Reason: endreason.Failed, Status: int(fail.KindOf(cause)), Detail: cause.Error()}
	mon.event(mon.nameAndID(mon.name), events.Failed, eventDetail, cause.Error())
	return mon.store.PutRun(mon.name, run)
}

// sweep removes everything that a VPS which does not run has left on the host. It
// finds that by name. No-op if there is nothing. The caller holds the life lock.
func (m *Manager) sweep(ctx context.Context, v vps.VPS) error {
	defer trace.Span("remove what is left")()
	err := m.containers.Delete(string(v.Name))
	for _, p := range m.networkTables().PlugsLeft(v) {
		if e := m.networks.ReturnLink(p.Plan, paths.KeptNamespace(m.store, v.Name)); err == nil {
			err = e
		}
		if e := m.networks.Unplug(ctx, p.Plan); err == nil {
			err = e
		}
		if len(v.Published) == 0 && v.UUID != "" { // without a UUID only its name is known
			continue
		}
		if e := m.networks.Unpublish(ctx, p.Plan); err == nil {
			err = e
		}
	}
	for _, file := range []string{paths.NotifySocket(m.store, v.Name), paths.ConsoleSocket(m.store, v.Name), paths.Booted(m.store, v.Name), paths.ToldNames(m.store, v.Name), paths.SeenBooted(m.store, v.Name)} {
		if e := os.Remove(file); err == nil && e != nil && !os.IsNotExist(e) {
			err = fmt.Errorf("sweep: %w", e)
		}
	}
	return err
}
