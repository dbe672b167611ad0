package main

import (
	"syscall"
	"unsafe"

	"croft/runtime/holder/protocol"
)

const (
	edge = 1 << 31 // EPOLLET, which package syscall has as a negative number

	sysPidfdOpen = 434 // on every architecture

	prSetName       = 15
	prSetTHPDisable = 41

	sigDfl = 0
	sigIgn = 1
)

// arguments returns the program's arguments. Package os has them too, and is
// a third of the size of this program.
func arguments() ([]string, error) {
	text, err := readAll("/proc/self/cmdline")
	if err != nil {
		return nil, err
	}
	var args []string
	for from, i := 0, 0; i < len(text); i++ {
		if text[i] == 0 {
			args = append(args, string(text[from:i]))
			from = i + 1
		}
	}
	return args, nil
}

// readAll returns the content of a small file of /proc.
func readAll(path string) ([]byte, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	buf := make([]byte, 0, 4096)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := syscall.Read(fd, buf[len(buf):cap(buf)])
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return buf, nil
		}
		buf = buf[:len(buf)+n]
	}
}

// environment returns the environment that croft had before it became the
// holder.
func environment() []string { return protocol.RestoreEnvironment(syscall.Environ()) }

// ignore sets the action of each ignored signal in the kernel, past Go's
// runtime: package os/signal costs more memory than the rest of this program.
func ignore(what uintptr) {
	for _, sig := range ignored {
		setAction(sig, what)
	}
}

func setAction(sig syscall.Signal, what uintptr) {
	action := [8]uintptr{what} // longer than struct sigaction of any kernel
	syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
}

func nameProcess(name string) {
	syscall.Syscall(syscall.SYS_PRCTL, prSetName, uintptr(unsafe.Pointer(unsafe.StringData(name))), 0)
}

// hugePages undoes, for croft, that its huge pages were switched off for us:
// one of them would be more memory than we use.
func hugePages(on bool) {
	var disable uintptr = 1
	if on {
		disable = 0
	}
	syscall.Syscall6(syscall.SYS_PRCTL, prSetTHPDisable, disable, 0, 0, 0, 0)
}

func pidfdOpen(pid int) (int, error) {
	fd, _, err := syscall.Syscall(sysPidfdOpen, uintptr(pid), 0, 0)
	if err != 0 {
		return -1, err
	}
	return int(fd), nil
}

func keepOnExec(fd int) {
	syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_SETFD, 0)
}
