// Package view says what a VPS sees of its machine: the content of the files of
// /proc and /sys in which a kernel shows the memory, the CPUs and the load of
// the whole machine. It makes them out of the kernel's own files and of the
// counts of the VPS's cgroup, in the formats of proc_pid_meminfo(5) and its
// neighbours.
//
// The holder links this package, so it imports nothing, and allocates no memory
// if the slice that it appends to has the room.
package view

// line returns the first line of text without its end, and the rest.
func line(text []byte) (first, rest []byte) {
	for i, c := range text {
		if c == '\n' {
			return text[:i], text[i+1:]
		}
	}
	return text, nil
}

// field returns the first field of a line, which spaces and tabs separate, and the
// rest.
func field(text []byte) (first, rest []byte) {
	from := 0
	for from < len(text) && isSpace(text[from]) {
		from++
	}
	to := from
	for to < len(text) && !isSpace(text[to]) {
		to++
	}
	return text[from:to], text[to:]
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' }

// Number returns the decimal number that text begins with, after spaces. ok is
// false if there is none. A number that is too large is the largest one.
func Number(text []byte) (n uint64, ok bool) {
	text, _ = field(text)
	for _, c := range text {
		if c < '0' || c > '9' {
			break
		}
		d := uint64(c - '0')
		if n > (1<<64-1-d)/10 {
			return 1<<64 - 1, true
		}
		n, ok = n*10+d, true
	}
	return n, ok
}

// Value returns the number of key in a text with lines of "KEY NUMBER".
func Value(text []byte, key string) (n uint64, ok bool) {
	for len(text) > 0 {
		var l []byte
		l, text = line(text)
		if name, rest := field(l); string(name) == key {
			return Number(rest)
		}
	}
	return 0, false
}

func appendNumber(dst []byte, n uint64) []byte { return appendPadded(dst, n, 1, ' ') }

// appendPadded appends n with at least so many characters.
func appendPadded(dst []byte, n uint64, width int, pad byte) []byte {
	var digits [20]byte
	at := len(digits)
	for n > 0 || at == len(digits) {
		at--
		digits[at] = byte('0' + n%10)
		n /= 10
	}
	for k := len(digits) - at; k < width; k++ {
		dst = append(dst, pad)
	}
	return append(dst, digits[at:]...)
}

// appendHundredths appends n/100 with two decimals.
func appendHundredths(dst []byte, n uint64) []byte {
	dst = append(appendNumber(dst, n/100), '.')
	return appendPadded(dst, n%100, 2, '0')
}

// less is a-b, and 0 if that is negative: counts that are read one after the other
// may cross.
func less(a, b uint64) uint64 {
	if b > a {
		return 0
	}
	return a - b
}
