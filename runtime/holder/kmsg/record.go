package kmsg

// Facilities and levels of a record (syslog(3)).
const (
	kernel = 0
	user   = 1

	failure = 3
	warning = 4
	info    = 6

	levelBits = 3
)

// Priorities of the records that croft itself appends.
const (
	Error   = kernel<<levelBits | failure
	Warning = kernel<<levelBits | warning
	Info    = kernel<<levelBits | info
)

// MaxText is the length in bytes of the longest record that a process can write, as in Linux.
const MaxText = 1024

// maxRecord is the length of the longest record as it is read. A text in which too many
// bytes are escaped is cut.
const maxRecord = 2048

// maxLines is the length of the longest record in /proc/kmsg. More lines are left out.
const maxLines = 4096

// appendRecord appends a record as one read(2) of /dev/kmsg returns it
// (Documentation/ABI/testing/dev-kmsg).
func appendRecord(to []byte, priority int, number, microseconds uint64, text []byte) []byte {
	from := len(to)
	to = append(appendNumber(to, uint64(priority), 1), ',')
	to = append(appendNumber(to, number, 1), ',')
	to = append(appendNumber(to, microseconds, 1), ",-;"...)
	for _, c := range text {
		if len(to)-from > maxRecord-5 {
			break
		}
		if c < ' ' || c >= 127 || c == '\\' {
			to = append(to, '\\', 'x', hex[c>>4], hex[c&15])
		} else {
			to = append(to, c)
		}
	}
	return append(to, '\n')
}

const hex = "0123456789abcdef"

// appendLines appends a record as /proc/kmsg has it: each line of its text after the
// priority and the time.
func appendLines(to, record []byte) []byte {
	priority, rest := takeNumber(record)
	_, rest = takeNumber(rest)
	time, rest := takeNumber(rest)
	from := len(to)
	to = appendHead(to, priority, time)
	for i := 2; i < len(rest) && len(to)-from < maxLines-64; i++ { // after "-;"
		c := rest[i]
		if c == '\\' && i+3 < len(rest) {
			c = unhex(rest[i+2])<<4 | unhex(rest[i+3])
			if c == '\n' {
				to = appendHead(append(to, c), priority, time)
				i += 3
				continue
			}
			if c >= ' ' && c != 127 { // no sequences for a terminal
				i += 3
			} else {
				c = '\\'
			}
		}
		to = append(to, c)
	}
	if to[len(to)-1] != '\n' {
		to = append(to, '\n')
	}
	return to
}

func appendHead(to []byte, priority, microseconds uint64) []byte {
	to = append(appendNumber(append(to, '<'), priority, 1), ">["...)
	seconds := microseconds / 1e6
	for n := uint64(10_000); n > 1 && seconds < n; n /= 10 {
		to = append(to, ' ')
	}
	to = append(appendNumber(to, seconds, 1), '.')
	return append(appendNumber(to, microseconds%1e6, 6), "] "...)
}

// priorityOf reads the priority that a process has put before its text. Without one, and for
// the kernel's own facility, the facility is that of user programs.
func priorityOf(text []byte) (priority int, rest []byte) {
	const none = user<<levelBits | warning
	if len(text) < 3 || text[0] != '<' {
		return none, text
	}
	n := 0
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c >= '0' && c <= '9' && n < 1<<16:
			n = n*10 + int(c-'0')
		case c == '>' && i > 1:
			n &= 0xff<<levelBits | (1<<levelBits - 1)
			if n>>levelBits == kernel {
				n |= user << levelBits
			}
			return n, text[i+1:]
		default:
			return none, text
		}
	}
	return none, text
}

// appendNumber appends n with at least so many digits.
func appendNumber(to []byte, n uint64, digits int) []byte {
	if n >= 10 || digits > 1 {
		to = appendNumber(to, n/10, digits-1)
	}
	return append(to, byte('0'+n%10))
}

// takeNumber reads a number up to the next comma.
func takeNumber(text []byte) (n uint64, rest []byte) {
	for i, c := range text {
		if c == ',' {
			return n, text[i+1:]
		}
		n = n*10 + uint64(c-'0')
	}
	return n, nil
}

func unhex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}
