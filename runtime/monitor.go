package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/inherited"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/endreason"
	"croft/runtime/holder"
	"croft/runtime/monitorlog"
	"croft/runtime/paths"
	"croft/template/rootfs"
)

// monitorEnded is what the holder says to croft when a VPS's init has ended,
// in the place of a spawnHow.
const monitorEnded spawnHow = "ended"

// A monitor is the process that a running VPS belongs to, while it is croft:
// from start to the moment that init runs, and again from init's end on. In
// between it is the holder, which it becomes by execve(2), so that it stays
// init's parent and costs next to nothing.
type monitor struct {
	*Manager
	name     string
	how      spawnHow
	cgroups  string // the cgroup manager that it was told to use
	life     *os.File
	report   *os.File // nil once it has been said that init runs
	log      monitorlog.Log
	warnings []string
}

// Monitor is what main calls for "croft monitor NAME HOW ROOT RUN CGROUPS …". It
// returns croft's exit status, if it returns.
func Monitor(args []string) int {
	if len(args) < 5 {
		fmt.Fprintln(os.Stderr, "croft: monitor is for croft itself")
		return int(fail.Usage)
	}
	how := spawnHow(args[1])
	mon := &monitor{name: args[0], how: how, cgroups: args[4]}
	var end holder.End
	var err error
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
	default:
		err = fail.New(fail.Usage, "no such monitor: %s", how)
	}
	if err == nil {
		mon.Manager, err = New(Options{Root: args[2], Run: args[3], CgroupManager: args[4], Command: "croft monitor " + mon.name,
			Warn: func(w string) { mon.warnings = append(mon.warnings, w); mon.log.Printf("warning: %s", w) }})
	}
	if err == nil {
		var e error
		if mon.log, e = monitorlog.Open(paths.MonitorLog(mon.store, mon.name)); e != nil {
			mon.warn(e.Error())
		}
		logrus.SetOutput(os.Stderr) // what libcontainer has to say, from warnings on
		logrus.SetLevel(logrus.WarnLevel)
		err = mon.run(how, end)
		if e := mon.containers.Leave(mon.name); err == nil {
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

// monitorOOMScore keeps monitors alive where memory runs out, since without its
// monitor a VPS cannot reboot. It needs CAP_SYS_RESOURCE; a VPS's own init has
// 0.
const monitorOOMScore = -900

// shelterPatience is how long systemd may take to make a scope.
const shelterPatience = 30 * time.Second

// run is the monitor's life. It returns when the VPS has ended, or if it could
// not be started.
func (mon *monitor) run(how spawnHow, end holder.End) error {
	// Dispositions that this process has were its caller's; what it catches
	// itself is reset in what it executes, so init starts with none ignored.
	signal.Notify(make(chan os.Signal, 8), unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT)
	inherited.DropProcess()
	inherited.SetOOMScore(monitorOOMScore)
	ctx := context.Background()
	if how != monitorEnded { // else it has been
		bounded, cancel := context.WithTimeout(ctx, shelterPatience)
		err := mon.containers.Shelter(bounded, mon.name)
		cancel()
		if err != nil {
			return err
		}
	}
	if how == monitorEnded {
		return mon.afterInit(ctx, end)
	}
	// What is mounted here stays here, what the host unmounts goes here too.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if how == spawnAdopt {
		return mon.adopt()
	}
	return mon.bootOnce(ctx)
}

// bootOnce is boot that records why it came to nothing.
func (mon *monitor) bootOnce(ctx context.Context) error {
	// Mounts of croft mount, which croft umount does not reach here if the
	// host's mounts are private, and those of a monitor of an older croft.
	err := rootfs.UnmountBelow(filepath.Dir(mon.store.VPSDir(mon.name)))
	if err == nil {
		err = mon.boot(ctx)
	}
	if err == nil {
		return nil // not reached: it is the holder by now
	}
	if e := mon.recordFailure(ctx, err); e != nil {
		err = errors.Join(err, e)
	}
	return err
}

// rootfs is where this monitor mounts v's root filesystem, for itself alone,
// and what that is made from.
func (mon *monitor) rootfs(v vps.VPS) (rootfs.Rootfs, error) {
	root, err := mon.Manager.rootfs(v)
	root.Target = mon.store.RootfsDir()
	return root, err
}

// say reports down the pipe, once.
func (mon *monitor) tell(err error) {
	if mon.report == nil {
		return
	}
	line, e := json.Marshal(reportOf(err, mon.warnings))
	if e == nil {
		_, _ = mon.report.Write(append(line, '\n')) // nobody may be listening any more
	}
	mon.report.Close()
	mon.report = nil
}

// failed records that a start came to nothing.
func (mon *monitor) recordFailure(ctx context.Context, cause error) error {
	run := mon.lastRun()
	run.Schema, run.State, run.Init, run.Monitor = state.Schema, state.Ended, state.Process{}, state.Process{}
	run.End = &state.End{Time: time.Now().UTC(), Reason: endreason.Failed, Status: int(fail.KindOf(cause)), Detail: cause.Error()}
	return mon.store.PutRun(mon.name, run)
}

// sweep removes what a VPS that does not run has left on the host, from names
// alone. Nothing being there is success. The caller holds the life lock.
func (m *Manager) sweep(ctx context.Context, v vps.VPS) error {
	err := m.containers.Delete(v.Name)
	for _, p := range m.networkTables().PlugsLeft(v) {
		if e := m.networks.GiveBack(p.Plan, paths.KeptNamespace(m.store, v.Name)); err == nil {
			err = e
		}
		if e := m.networks.Unplug(ctx, p.Plan); err == nil {
			err = e
		}
		if len(v.Published) == 0 && v.UUID != "" { // else all that is known is its name
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
