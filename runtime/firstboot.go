package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
	"croft/runtime/firstboot"
	"croft/runtime/look"
	"croft/runtime/observe"
	"croft/runtime/paths"
	"croft/runtime/streams"
)

// A first-boot script runs in a process of its own, which the monitor starts. So it runs
// after each kind of start, and the end of a command does not end it. That process
// holds a lock, so the others see whether it lives.

// FirstBoot starts the process. It inherits the lock, so another command always
// sees that the script will run.
func (s spawner) FirstBoot(name vps.Name) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find croft's own binary: %w", err)
	}
	lock, err := s.store.TryFirstBoot(name)
	if err != nil {
		return err
	}
	defer lock.Close()
	cmd := exec.Command(self)
	cmd.Args = []string{"croft", MonitorCommand, string(name), string(monitorFirstBoot), s.store.Root, s.store.RunRoot, string(s.cgroups), s.config}
	cmd.Dir, cmd.Env = "/", []string{"PATH=" + os.Getenv("PATH")}
	cmd.ExtraFiles = []*os.File{lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := startClean(cmd); err != nil {
		return fmt.Errorf("start process: %w", err)
	}
	return nil
}

// firstBootApart is that process. It ends when the script has ended, or the VPS.
func (mon *monitor) firstBootApart(lock *os.File) {
	defer lock.Close()
	mon.leaveMonitor()
	ctx := context.Background()
	if err := mon.store.WaitFirstBoot(ctx, lock); err != nil {
		mon.log.Printf("first-boot script: %v", err)
		return
	}
	if err := mon.runFirstBoot(ctx, mon.name); err != nil {
		mon.log.Printf("first-boot script: %v", err)
	}
}

// runFirstBoot waits until name has booted and runs its script. A VPS that ends before
// keeps the script for its next boot. The failure of the script is in its record and is
// no error. The caller holds the lock of the script.
func (m *Manager) runFirstBoot(ctx context.Context, name vps.Name) error {
	dir := m.store.VPSDir(name)
	if !firstboot.Waits(dir) {
		return nil
	}
	run, err := m.looker().Await(ctx, name, UntilBooted, 0, func(s Status) error {
		if s == StatusStopped {
			return fail.New(fail.State, "%s ended while it booted", name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	script, err := firstboot.Take(dir, run.Boot)
	if err != nil || script == nil {
		return err
	}
	output := &firstboot.Output{Log: filepath.Join(m.store.LogDir(name), run.ConsoleAt)}
	status, err := m.runScript(name, run, script, output)
	cut := (err != nil || status >= 128) && m.ends(name, run)
	return firstboot.Save(dir, recordOf(run, status, err, cut, output.Tail()))
}

// endPatience is how long a VPS may take to end after its script was killed. The kernel
// kills the processes of a VPS in any order.
const endPatience = 2 * time.Second

// ends reports whether the VPS that runs as run has ended, or is about to.
func (m *Manager) ends(name vps.Name, run state.Run) bool {
	for end := time.Now().Add(endPatience); time.Now().Before(end); time.Sleep(look.Interval) {
		if !observe.Alive(run.Init) || paths.Exists(paths.StopRequest(m.store, name)) {
			return true
		}
	}
	return false
}

// recordOf is the record of a script that has ended in the VPS that runs as run. cut
// says that the end of the VPS has ended it.
func recordOf(run state.Run, status int, err error, cut bool, tail string) firstboot.Record {
	r := firstboot.Record{State: firstboot.Done, Boot: run.Boot, Status: status, Ended: new(time.Now().UTC())}
	switch {
	case err == nil && status == 0:
		return r
	case cut:
		r.State, r.Detail = firstboot.Interrupted, "the VPS ended while the script ran"
	case err != nil:
		r.State, r.Detail = firstboot.Failed, err.Error()
	default:
		r.State, r.Detail = firstboot.Failed, fmt.Sprintf("exit status %d", status)
	}
	r.Output = tail
	return r
}

// runScript runs script in the VPS that runs as run. The script has no file inside: its
// interpreter reads a file in memory, which is its standard input, and of which a read
// gets nothing because its offset is the end.
func (m *Manager) runScript(name vps.Name, run state.Run, script []byte, output io.Writer) (int, error) {
	file, err := memoryFile(script)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	p, err := m.process(name, run, ExecOptions{Args: append(vps.Interpreter(script), "/proc/self/fd/0")})
	if err != nil {
		return 0, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("make pipe: %w", err)
	}
	defer read.Close()
	defer write.Close()
	pipes, err := streams.NewPipes(nil, write, nil)
	if err != nil {
		return 0, err
	}
	defer pipes.Close()
	ends := pipes.Inside()
	r, err := m.containers.Exec(string(name), p, [3]*os.File{file, ends[1], ends[1]})
	if err != nil {
		return 0, m.execError(name, p, err)
	}
	copied := make(chan struct{})
	go func() {
		_, _ = io.Copy(output, read)
		close(copied)
	}()
	pipes.Start()
	status, err := r.Wait()
	err = errors.Join(err, pipes.Finish())
	write.Close()
	<-copied
	return status, err
}

// memoryFile returns a file with the content, which cannot be changed, its offset at the
// end. It belongs to no directory (memfd_create(2), Linux 3.17).
func memoryFile(content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("first-boot", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	file := os.NewFile(uintptr(fd), "first-boot")
	if _, err = file.Write(content); err == nil {
		_, err = unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	return file, nil
}

// awaitFirstBoot waits until the script of the running VPS name has ended. A script of
// this boot that did not do its work is fail.FirstBoot, with the end of its output as
// warnings. No-op without a script.
func (m *Manager) awaitFirstBoot(ctx context.Context, name vps.Name) error {
	tick := time.NewTicker(look.Interval)
	defer tick.Stop()
	for {
		alive, err := m.store.FirstBootHeld(name)
		if err != nil {
			return err
		}
		if !alive {
			return m.firstBootResult(name)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (m *Manager) firstBootResult(name vps.Name) error {
	run, err := m.store.Run(name)
	if err != nil {
		return err
	}
	record, err := firstboot.Load(m.store.VPSDir(name), false)
	if err != nil {
		return err
	}
	if !record.Bad() || record.Boot != run.Boot {
		return nil
	}
	for _, line := range record.Lines() {
		m.warn(fmt.Sprintf("%s: first-boot: %s", name, line))
	}
	return fail.New(fail.FirstBoot, "%s runs, and its %s", name, record).WithHint("croft logs %s", name)
}

// firstBootLater reports whether a script that is set now has to wait for the next start
// of the running VPS name.
func (m *Manager) firstBootLater(name vps.Name) bool {
	alive, err := m.store.FirstBootHeld(name)
	return err == nil && !alive
}

// putFirstBoot keeps the script that the edits set.
func (c *change) putFirstBoot() error {
	script, ok := vps.FirstBootSet(c.edits...)
	if !ok {
		return nil
	}
	undo, err := firstboot.Put(c.store.VPSDir(c.now.Name), script)
	if undo != nil {
		c.undo.Arm(undo)
	}
	return err
}
