// Program holder stays beside a running VPS. It holds the console's pty, the
// life lock and the sockets, and waits for init. Then it executes croft in its
// own place. It takes over the process of the monitor, so init is its
// child.
//
// A machine has one holder for each running VPS, so it has to be small. It
// imports only syscall. One thread does all the work. It allocates no memory
// while it runs, and gives back the pages of its own code when it is idle.
package main

import (
	"runtime"
	"syscall"

	"croft/runtime/holder/protocol"
)

// Pauses of the loop before it tries something again, in milliseconds.
const (
	idleAfter  = 1000 // quiet for so long: give the pages back
	retryAfter = 200  // input that the console did not take
	burst      = 2    // for the next request of the same reader
	forever    = -1
)

// The signals that would end a program and shall not end a VPS's monitor.
var ignored = [...]syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM,
	syscall.SIGPIPE, syscall.SIGALRM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTSTP}

// A holder is the whole program's state. There is one, in h, so that it lives
// in the program's data and not on its heap.
type holder struct {
	cfg     protocol.Config
	epoll   int
	end     protocol.End
	ended   bool // init is gone, end says how
	active  bool // something happened since the pages were given back
	log     logFile
	pace    pace
	console console
	notify  notify
	events  eventLog
	counts  counts
	disk    disk
	clients clients
	files   files
	kmsg    messages
	dropped dropped
	tracer  tracer
}

var h holder

// The main thread is the one that signals for the process go to: SIGCHLD has
// to interrupt the wait of the loop.
func init() { runtime.LockOSThread() }

func main() {
	args, err := arguments()
	if err == nil && len(args) > 0 && protocol.IsInit(args[0]) {
		smallInit(args)
	}
	if err == nil {
		h.cfg, err = protocol.Parse(args)
	}
	if err != nil {
		die("cannot understand its arguments", err)
	}
	if err := h.setUp(); err != nil {
		die("cannot set up", err)
	}
	for !h.ended && !h.end.Abandoned {
		h.wait()
		h.work()
	}
	h.finish()
	die("cannot execute "+h.cfg.Exec, h.execCroft())
}

// setUp makes every descriptor non-blocking and closed on exec, but for the
// life lock, and puts them under watch.
func (h *holder) setUp() (err error) {
	ignore(sigIgn)
	nameProcess("croft-monitor\x00")
	h.files.open(h.cfg)
	h.kmsg.open(h.cfg)
	h.dropped.open(h.cfg)
	for _, fd := range [...]int{h.cfg.Master, h.cfg.Notify, h.cfg.Console, h.cfg.KernelLog, h.cfg.PIDFD, h.cfg.Runner, h.cfg.Alarm, h.files.fd} {
		if fd >= 0 {
			syscall.CloseOnExec(fd)
			if err = syscall.SetNonblock(fd, true); err != nil {
				return err
			}
		}
	}
	if h.cfg.PIDFD < 0 {
		if h.cfg.PIDFD, err = pidfdOpen(h.cfg.Init); err != nil {
			return err
		}
	}
	if h.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return err
	}
	h.end.Life = h.cfg.Life
	if h.cfg.Adopted {
		h.tracer.begin(h.cfg.Init)
	}
	h.pace.most = windowBytes
	h.log.open(h.cfg.Log)
	h.console.open(h.cfg.Master)
	h.events.open(h.cfg.Events)
	h.notify.open(h.cfg.Notify, h.cfg.Booted, h.cfg.Event)
	h.counts.open(h.cfg)
	h.disk.open(h.cfg)
	h.clients.open(h.cfg.Console)
	// Edge-triggered: a console that no process in the VPS has open reports a
	// hang-up all the time. Level-triggered, that would keep the holder busy.
	for _, fd := range [...]int{h.cfg.Master, h.cfg.Notify, h.cfg.Console, h.files.fd} {
		if fd >= 0 {
			what := uint32(syscall.EPOLLIN | syscall.EPOLLOUT | edge)
			if fd == h.files.fd { // it can always be written to
				what = syscall.EPOLLIN | edge
			}
			if err = h.watch(fd, what); err != nil {
				return err
			}
		}
	}
	for _, fd := range [...]int{h.cfg.Alarm, h.counts.changes} {
		if fd >= 0 {
			_ = h.watch(fd, syscall.EPOLLIN|edge) // the VPS runs without events too
		}
	}
	if h.cfg.Runner >= 0 {
		if err = h.watch(h.cfg.Runner, syscall.EPOLLIN); err != nil {
			return err
		}
	}
	return h.watch(h.cfg.PIDFD, syscall.EPOLLIN)
}

func (h *holder) watch(fd int, events uint32) error {
	ev := syscall.EpollEvent{Events: events, Fd: int32(fd)}
	return syscall.EpollCtl(h.epoll, syscall.EPOLL_CTL_ADD, fd, &ev)
}

// wait sleeps until there is work, and notes whose.
func (h *holder) wait() {
	timeout := h.timeout()
	n, err := h.nextRequest(timeout)
	if n == 0 && err == nil {
		n, err = syscall.EpollWait(h.epoll, ready[:], timeout)
	}
	if err == syscall.EINTR {
		h.reap()
		return
	}
	if err != nil {
		die("cannot wait for events", err)
	}
	if n == 0 {
		if timeout == idleAfter {
			h.active = false
			h.files.givePagesBack()
			givePagesBack()
		}
		h.clients.retry()
		return
	}
	h.active = true
	for _, ev := range ready[:n] {
		h.note(int(ev.Fd), ev.Events)
	}
}

// timeout returns how long to wait for events, in milliseconds.
func (h *holder) timeout() int {
	if h.clients.busy() {
		return 0
	}
	now := milliseconds()
	timeout := idleAfter
	switch {
	case h.clients.stalled():
		timeout = retryAfter
	case !h.active:
		timeout = forever
	}
	if h.console.readable || h.notify.readable {
		timeout = h.pace.wait(now)
	}
	if h.files.readable {
		timeout = sooner(timeout, h.files.pace.wait(now))
	}
	return sooner(sooner(timeout, h.counts.rest(now)), h.disk.rest(now))
}

func (h *holder) note(fd int, what uint32) {
	switch fd {
	case h.cfg.PIDFD:
		h.initEnded()
	case h.cfg.Runner:
		h.end.Abandoned = !h.ended
	case h.cfg.Master:
		h.console.readable = true
		if what&syscall.EPOLLOUT != 0 {
			h.clients.retry()
		}
	case h.cfg.Notify:
		h.notify.readable = true
	case h.cfg.Alarm, h.counts.changes:
		h.counts.note(milliseconds())
	case h.cfg.Console:
		h.clients.waiting = true
	case h.files.fd:
		h.files.readable = true
	default:
		h.clients.note(fd, what)
	}
}

// work does a bounded part of the pending work, so that each descriptor gets
// its turn.
func (h *holder) work() {
	if !h.pace.exhausted(milliseconds()) {
		h.listen()
	}
	h.counts.work(milliseconds())
	h.disk.work(milliseconds())
	h.dropped.work(milliseconds())
	h.clients.accept()
	h.clients.work()
	h.files.work()
}

// listen reads a part of the output and of the messages of the VPS.
func (h *holder) listen() {
	for range 16 {
		out := h.console.read()
		if len(out) == 0 {
			break
		}
		h.pace.spent += len(out)
		h.log.write(out)
		h.clients.show(out)
	}
	if h.notify.readable {
		h.pace.spent += messageBytes
	}
	h.notify.read()
}

// finish reads the last output of the VPS from the pty and closes the clients.
func (h *holder) finish() {
	for {
		out := h.console.read()
		if len(out) == 0 {
			break
		}
		h.log.write(out)
		h.clients.show(out)
	}
	h.notify.read()
	h.counts.finish()
	h.disk.look()
	h.clients.close()
	h.log.close()
}

// execCroft puts croft in our place. It returns only if that fails.
func (h *holder) execCroft() error {
	argv := append(append([]string{}, h.cfg.Argv...), h.end.Args()...)
	ignore(sigDfl)
	hugePages(true)
	keepOnExec(h.cfg.Life)
	return syscall.Exec(h.cfg.Exec, argv, environment())
}

// die is for what cannot happen while a VPS runs, but to a holder that was
// started wrongly. The kernel gives up the life lock.
func die(what string, err error) {
	msg := "croft: holder " + what
	if err != nil {
		msg += ": " + err.Error()
	}
	syscall.Write(2, []byte(msg+"\n"))
	syscall.Exit(1)
}
