package main

import "syscall"

// maxLog is how long the console's log grows before it is set aside, in
// bytes: at most twice that is kept of one boot.
const maxLog = 8 << 20

// A logFile is the console's log. What cannot be written is lost and counted,
// and the log says how much when there is room again: a full disk must not
// stop a VPS.
type logFile struct {
	path string
	fd   int // -1 if it could not be opened
	size int64
	lost int
	line [256]byte
}

func (l *logFile) open(path string) {
	l.path, l.fd = path, -1
	if path == "" {
		return
	}
	l.reopen()
	if l.fd < 0 {
		syscall.Write(2, []byte("croft: holder cannot open "+path+"\n"))
	}
}

func (l *logFile) reopen() {
	fd, err := syscall.Open(l.path, syscall.O_WRONLY|syscall.O_APPEND|syscall.O_CREAT|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return
	}
	if l.fd >= 0 {
		syscall.Close(l.fd)
	}
	l.fd, l.size = fd, 0
	var st syscall.Stat_t
	if syscall.Fstat(fd, &st) == nil {
		l.size = st.Size
	}
}

func (l *logFile) write(p []byte) {
	if l.fd < 0 {
		return
	}
	if l.size >= maxLog {
		syscall.Rename(l.path, l.path+".1")
		l.size = 0 // also if that failed: try again after as much more
		l.reopen()
	}
	if l.lost > 0 {
		note := "\r\n[croft: " + decimal(l.lost) + " bytes were lost here: the log could not be written]\r\n"
		if n, _ := syscall.Write(l.fd, []byte(note)); n == len(note) {
			l.lost = 0
		}
	}
	for len(p) > 0 {
		n, err := syscall.Write(l.fd, p)
		if err == syscall.EINTR {
			continue
		}
		if n <= 0 {
			l.lost += len(p)
			return
		}
		l.size += int64(n)
		p = p[n:]
	}
}

// remark writes a line of croft.
func (l *logFile) remark(text []byte) {
	const before, after = "\r\n[croft: ", "]\r\n"
	line := append(l.line[:0], before...)
	line = append(line, text[:min(len(text), len(l.line)-len(before)-len(after))]...)
	l.write(append(line, after...))
}

func (l *logFile) close() {
	if l.fd >= 0 {
		syscall.Close(l.fd)
	}
}
