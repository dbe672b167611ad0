package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// loadWord is the first argument of this program as a load: the same static program works on the host, in a
// VPS and in containers.
const loadWord = "load"

// A work is what a load does each time that it reads a line. It is prepared from the load's arguments.
type work func() error

// works are the loads by name.
var works = map[string]func(args []string) (work, error){
	"syscall": func(args []string) (work, error) {
		n, err := strconv.Atoi(args[0])
		return func() error { return systemCalls(n) }, err
	},
	"files": func(args []string) (work, error) {
		n, err := strconv.Atoi(args[1])
		return func() error { return smallFiles(args[0], n) }, err
	},
	"ping": func(args []string) (work, error) {
		n, err := strconv.Atoi(args[1])
		return func() error { return pingPong(args[0], n) }, err
	},
	"stream": func(args []string) (work, error) {
		n, err := strconv.Atoi(args[1])
		return func() error { return stream(args[0], n<<20) }, err
	},
	"serve": func(args []string) (work, error) {
		err := serve(args[0])
		return func() error { return nil }, err
	},
}

// load runs this process as a load, if it is one; then it does not return. A load
// prints "ready", and for each line that it reads does its work and prints "done". It ends with its stdin.
func load() {
	if len(os.Args) < 3 || os.Args[1] != loadWord {
		return
	}
	prepare := works[os.Args[2]]
	if prepare == nil {
		say("no load %s", os.Args[2])
		os.Exit(2)
	}
	do, err := prepare(os.Args[3:])
	if err == nil {
		fmt.Println("ready")
		for lines := bufio.NewScanner(os.Stdin); err == nil && lines.Scan(); {
			if err = do(); err == nil {
				fmt.Println("done")
			}
		}
	}
	if err != nil {
		say("load %s: %v", strings.Join(os.Args[2:], " "), err)
		os.Exit(1)
	}
	os.Exit(0)
}

func systemCalls(n int) error {
	for range n {
		unix.Getppid()
	}
	return nil
}

// smallFiles creates files, and writes, looks at, reads and removes them.
func smallFiles(dir string, n int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	content := make([]byte, 200)
	name := func(i int) string { return filepath.Join(dir, "file"+strconv.Itoa(i)) }
	for i := range n {
		if err := os.WriteFile(name(i), content, 0o644); err != nil {
			return err
		}
	}
	for i := range n {
		if _, err := os.Stat(name(i)); err != nil {
			return err
		}
		if _, err := os.ReadFile(name(i)); err != nil {
			return err
		}
	}
	for i := range n {
		if err := os.Remove(name(i)); err != nil {
			return err
		}
	}
	return nil
}

// What a connection asks a server for, in its first byte.
const (
	wantsEcho = 'e'
	wantsSink = 's'
)

// serve answers connections in the background. Sockets block: Go's poller would be measured otherwise.
func serve(address string) error {
	a, err := socketAddress(address)
	if err != nil {
		return err
	}
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(listener, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := errors.Join(unix.Bind(listener, a), unix.Listen(listener, 16)); err != nil {
		return fmt.Errorf("listen at %s: %w", address, err)
	}
	go func() {
		for {
			conn, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
			if err != nil {
				say("accept: %v", err)
				os.Exit(1)
			}
			go answer(conn)
		}
	}()
	return nil
}

// answer sends each byte back, or takes all and sends one byte at the end.
func answer(conn int) {
	defer unix.Close(conn)
	_ = unix.SetsockoptInt(conn, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	buffer := make([]byte, 256<<10)
	if n, err := unix.Read(conn, buffer[:1]); n != 1 || err != nil {
		return
	}
	echo := buffer[0] == wantsEcho
	for {
		n, err := unix.Read(conn, buffer)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			break
		}
		if echo {
			if _, err := unix.Write(conn, buffer[:n]); err != nil {
				return
			}
		}
	}
	_, _ = unix.Write(conn, []byte{0})
}

func connect(address string, want byte) (int, error) {
	a, err := socketAddress(address)
	if err != nil {
		return 0, err
	}
	conn, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	err = unix.Connect(conn, a)
	if err == nil {
		err = unix.SetsockoptInt(conn, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err == nil {
		_, err = unix.Write(conn, []byte{want})
	}
	if err != nil {
		unix.Close(conn)
		return 0, fmt.Errorf("connect to %s: %w", address, err)
	}
	return conn, nil
}

// pingPong sends one byte and waits for it, n times.
func pingPong(address string, n int) error {
	conn, err := connect(address, wantsEcho)
	if err != nil {
		return err
	}
	defer unix.Close(conn)
	b := []byte{1}
	for range n {
		if _, err := unix.Write(conn, b); err != nil {
			return err
		}
		if err := readOne(conn, b); err != nil {
			return err
		}
	}
	return nil
}

// stream sends n bytes, and waits until the other side has them.
func stream(address string, n int) error {
	conn, err := connect(address, wantsSink)
	if err != nil {
		return err
	}
	defer unix.Close(conn)
	buffer := make([]byte, 128<<10)
	for n > 0 {
		written, err := unix.Write(conn, buffer[:min(n, len(buffer))])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		n -= written
	}
	if err := unix.Shutdown(conn, unix.SHUT_WR); err != nil {
		return err
	}
	return readOne(conn, buffer[:1])
}

func readOne(conn int, b []byte) error {
	for {
		n, err := unix.Read(conn, b)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case n == 0:
			return errors.New("the other side has closed the connection")
		default:
			return nil
		}
	}
}

func socketAddress(text string) (unix.Sockaddr, error) {
	a, err := netip.ParseAddrPort(text)
	if err != nil || !a.Addr().Is4() {
		return nil, fmt.Errorf("%q is not an IPv4 address with a port", text)
	}
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, nil
}
