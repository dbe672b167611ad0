package view

// maxCPUs is how many CPUs a set can have: more than any machine that runs croft.
const maxCPUs = 8192

// CPUs is a set of CPUs.
type CPUs [maxCPUs / 64]uint64

// Parse reads a list such as "0-3,8" (cpuset(7), "List format"). ok is false if
// it is empty or invalid.
func (s *CPUs) Parse(text []byte) (ok bool) {
	*s = CPUs{}
	for len(text) > 0 && !isSpace(text[0]) {
		first, rest, is := digits(text)
		if !is {
			return false
		}
		last := first
		if len(rest) > 0 && rest[0] == '-' {
			if last, rest, is = digits(rest[1:]); !is {
				return false
			}
		}
		if last >= maxCPUs || last < first {
			return false
		}
		for n := first; n <= last; n++ {
			s[n/64] |= 1 << (n % 64)
		}
		ok = true
		if text = rest; len(text) > 0 && text[0] == ',' {
			text = text[1:]
		}
	}
	return ok
}

func digits(text []byte) (n int, rest []byte, ok bool) {
	for len(text) > 0 && text[0] >= '0' && text[0] <= '9' && n < maxCPUs {
		n, text, ok = n*10+int(text[0]-'0'), text[1:], true
	}
	return n, text, ok
}

// Has reports whether n is in the set.
func (s *CPUs) Has(n int) bool { return n >= 0 && n < maxCPUs && s[n/64]&(1<<(n%64)) != 0 }

// from returns the first CPU of the set that is not below n; maxCPUs if there is none.
func (s *CPUs) from(n int) int {
	for n < maxCPUs {
		if word := s[n/64] >> (n % 64); word == 0 {
			n = n/64*64 + 64
		} else if word&1 == 0 {
			n++
		} else {
			break
		}
	}
	return n
}

// Count is how many there are.
func (s *CPUs) Count() (count int) {
	for _, word := range s {
		for ; word != 0; word &= word - 1 {
			count++
		}
	}
	return count
}

// And keeps only those that are in other too, unless that leaves none.
func (s *CPUs) And(other *CPUs) {
	both := *s
	any := uint64(0)
	for i := range both {
		both[i] &= other[i]
		any |= both[i]
	}
	if any != 0 {
		*s = both
	}
}

// First keeps only the first n.
func (s *CPUs) First(n int) {
	for i := range s {
		for left := s[i]; left != 0; left &= left - 1 {
			if n--; n < 0 {
				s[i] &^= left & -left
			}
		}
	}
}

// Quota returns for how many CPUs a quota of CPU time is enough, rounded up. Both
// numbers are in microseconds. 0 is no quota.
func Quota(quota, period uint64) int {
	if period == 0 || quota == 0 || quota/period >= maxCPUs {
		return 0
	}
	return int((quota + period - 1) / period)
}

// List appends the set in the list format, and the end of the line: the content of
// /sys/devices/system/cpu/online.
func (s *CPUs) List(dst []byte) []byte {
	begun := len(dst)
	for n := s.from(0); n < maxCPUs; n = s.from(n + 1) {
		if len(dst) > begun {
			dst = append(dst, ',')
		}
		dst = appendNumber(dst, uint64(n))
		from := n
		for s.Has(n + 1) {
			n++
		}
		if n > from {
			dst = appendNumber(append(dst, '-'), uint64(n))
		}
	}
	return append(dst, '\n')
}

// CPUInfo appends the parts of the machine's /proc/cpuinfo that are about CPUs of
// the set. Those parts begin with a line "processor", and end with an empty line.
// It ends early, after a whole part, if dst has no room left.
func (s *CPUs) CPUInfo(dst, machine []byte) []byte {
	for len(machine) > 0 {
		end := part(machine)
		text := machine[:end]
		machine = machine[end:]
		if n, is := processor(text); is && !s.Has(n) {
			continue
		}
		if len(text) > cap(dst)-len(dst) {
			return dst
		}
		dst = append(dst, text...)
	}
	return dst
}

// part returns the length of the text up to and with the first empty line.
func part(text []byte) int {
	for i := 1; i < len(text); i++ {
		if text[i] == '\n' && text[i-1] == '\n' {
			return i + 1
		}
	}
	return len(text)
}

// processor reads "processor	: 3".
func processor(text []byte) (n int, is bool) {
	first, _ := line(text)
	name, rest := field(first)
	if string(name) != "processor" {
		return 0, false
	}
	colon, rest := field(rest)
	number, ok := Number(rest)
	return int(number), ok && string(colon) == ":"
}
