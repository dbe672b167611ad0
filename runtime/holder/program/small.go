package main

import (
	"syscall"
	"unsafe"

	"croft/runtime/holder/protocol"
)

// This program is also PID 1 of a VPS whose image has no init. Then it reaps
// orphaned processes, passes signals on to the one command that it runs, and
// ends with that command's exit status. Without a command it waits until it is
// stopped.
//
// Signals need care, for these reasons:
//
// - The kernel sends PID 1 only signals that it has a handler for.
// - Package os/signal would cost more memory than the rest of the program. So the
//   main thread blocks its signals and waits for them.
// - Go's runtime creates its other threads with the signal mask that the program was
//   started with. So the program blocks the signals and executes itself once more.
// - The runtime unblocks some of them in its threads nevertheless. There they have the
//   default action, and PID 1 has no default action. The kernel offers a signal to the main
//   thread first, so that gets it.
// - SIGCHLD is not blocked. With a command there is always a child to wait for.
//   Without one the kernel reaps.

const (
	sigSetMask  = 2
	everySignal = ^uint64(0) &^ (1 << (syscall.SIGCHLD - 1))

	notRunnable = 126 // as a shell says it
	notFound    = 127
)

func setMask(mask uint64) (old uint64) {
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, sigSetMask, uintptr(unsafe.Pointer(&mask)), uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	return old
}

// blocked reports whether this signal is in the mask.
func blocked(mask uint64, sig syscall.Signal) bool { return mask&(1<<(uint(sig)-1)) != 0 }

func smallInit(args []string) {
	c, err := protocol.ParseInit(args)
	if err != nil {
		initDies(notRunnable, "cannot understand its arguments", err)
	}
	if c.Launch {
		launch(c.Args)
	}
	if old := setMask(everySignal); !blocked(old, syscall.SIGPWR) {
		initDies(notRunnable, "cannot execute itself", syscall.Exec(args[0], args, syscall.Environ()))
	}
	nameProcess(protocol.InitName + "\x00")
	for _, sig := range [...]syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM} {
		setAction(sig, sigDfl)
	}
	child := 0
	if len(c.Args) > 0 {
		raised := c.OOMScore > 0 && setOOMScore("0", decimal(c.OOMScore))
		child, err = syscall.ForkExec(args[0], protocol.LaunchArgs(args[0], c.Args), &syscall.ProcAttr{
			Dir: c.Dir, Env: syscall.Environ(), Files: []uintptr{0, 1, 2},
			Sys: &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: c.UID, Gid: c.GID, Groups: c.Groups}},
		})
		if err != nil {
			initDies(notRunnable, "cannot run "+c.Args[0]+" in "+c.Dir, err)
		}
		if raised {
			setOOMScore(decimal(c.OOMScore), "0")
		}
	}
	if child != 0 {
		go reapUntil(child)
	} else {
		setAction(syscall.SIGCHLD, sigIgn) // the kernel reaps (wait(2), NOTES)
	}
	for {
		switch sig := waitForSignal(); {
		case child == 0:
			if sig == syscall.SIGPWR || sig == syscall.SIGTERM {
				syscall.Exit(0)
			}
		case sig == syscall.SIGPWR: // croft stop
			syscall.Kill(child, syscall.Signal(c.Stop))
		case sig > 0:
			syscall.Kill(child, sig)
		}
	}
}

// setOOMScore sets oom_score_adj of this program, which its next child inherits, if it
// is was. A failure does not matter: the scores stay equal.
func setOOMScore(was, score string) bool {
	const file = "/proc/self/oom_score_adj"
	if text, err := readAll(file); err != nil || string(text) != was+"\n" {
		return false
	}
	fd, err := syscall.Open(file, syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	_, err = syscall.Write(fd, []byte(score))
	syscall.Close(fd)
	return err == nil
}

func waitForSignal() syscall.Signal {
	every := everySignal
	r, _, err := syscall.Syscall6(syscall.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&every)), 0, 0, 8, 0, 0)
	if err != 0 {
		return 0 // EINTR
	}
	return syscall.Signal(r)
}

// reapUntil takes every dead child off the process table, and ends the program
// as the one that counts has ended.
func reapUntil(child int) {
	for {
		var w syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &w, 0, nil)
		switch {
		case err == syscall.EINTR || err == nil && pid != child:
		case err != nil:
			initDies(notRunnable, "has lost its command", err)
		case w.Signaled():
			syscall.Exit(128 + int(w.Signal()))
		case w.Exited():
			syscall.Exit(w.ExitStatus())
		}
	}
}

// launch executes args with no signal blocked.
func launch(args []string) {
	setMask(0)
	err := error(syscall.ENOENT)
	for _, file := range candidates(args[0]) {
		switch e := syscall.Exec(file, args, syscall.Environ()); e {
		case syscall.ENOENT, syscall.ENOTDIR:
		default:
			err = e
		}
	}
	if err == syscall.ENOENT {
		initDies(notFound, "cannot run "+args[0], err)
	}
	initDies(notRunnable, "cannot run "+args[0], err)
}

// candidates are where a command may be: as execvp(3) looks for it.
func candidates(command string) []string {
	for i := range len(command) {
		if command[i] == '/' {
			return []string{command}
		}
	}
	path, _ := syscall.Getenv("PATH")
	var all []string
	for from, i := 0, 0; i <= len(path); i++ {
		if i == len(path) || path[i] == ':' {
			dir := path[from:i]
			if dir == "" {
				dir = "."
			}
			all = append(all, dir+"/"+command)
			from = i + 1
		}
	}
	return all
}

func initDies(status int, what string, err error) {
	syscall.Write(2, []byte("croft: init "+what+": "+err.Error()+"\n"))
	syscall.Exit(status)
}
