package main

import "syscall"

// A notify is the socket that init says READY=1 to (sd_notify(3)).
type notify struct {
	fd       int // None: there is no socket
	readable bool
	marker   string // made when it has; "" when that is done
	event    string // told then
	ready    bool
	buf      [2048]byte
}

func (n *notify) open(fd int, marker, event string) {
	n.fd, n.readable, n.marker, n.event = fd, fd >= 0, marker, event
}

// read takes up to 16 datagrams off the socket.
func (n *notify) read() {
	for range 16 {
		if !n.readable {
			break
		}
		got, err := syscall.Read(n.fd, n.buf[:])
		if err != nil {
			n.readable = err == syscall.EINTR
			continue
		}
		n.ready = n.ready || saysReady(n.buf[:got])
	}
	if n.ready && n.marker != "" && mark(n.marker) {
		n.marker = ""
		h.events.tell(n.event, noNumber, nil)
	}
}

// saysReady looks for the line READY=1 in a message of newline-separated
// assignments.
func saysReady(msg []byte) bool {
	const want = "READY=1"
	for from, i := 0, 0; i <= len(msg); i++ {
		if i == len(msg) || msg[i] == '\n' {
			if string(msg[from:i]) == want {
				return true
			}
			from = i + 1
		}
	}
	return false
}

// mark makes the file path with the time in it, seconds since 1970 with
// microseconds, at once and whole.
func mark(path string) bool {
	var now syscall.Timeval
	syscall.Gettimeofday(&now)
	micros := decimal(int(now.Usec) + 1_000_000)[1:] // six digits
	text := decimal(int(now.Sec)) + "." + micros + "\n"

	temporary := path + ".new"
	fd, err := syscall.Open(temporary, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return false
	}
	written, _ := syscall.Write(fd, []byte(text))
	syscall.Close(fd)
	if written != len(text) {
		syscall.Unlink(temporary)
		return false
	}
	return syscall.Rename(temporary, path) == nil
}

func decimal(n int) string {
	var digits [20]byte
	at := len(digits)
	for {
		at--
		digits[at] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(digits[at:])
		}
	}
}
