package view

// DiskStats appends the content of /proc/diskstats: the devices that io.stat of the
// VPS's cgroup names (cgroup-v2.rst of Linux), with what the VPS has read and written.
// The machine's file gives their names. The kernel counts no times for a cgroup, so
// they are 0.
func DiskStats(dst, machine, io []byte) []byte {
	for len(machine) > 0 {
		var l []byte
		l, machine = line(machine)
		major, rest := field(l)
		minor, rest := field(rest)
		name, _ := field(rest)
		if len(name) == 0 {
			continue
		}
		if counts := device(io, major, minor); counts != nil {
			dst = appendDisk(dst, major, minor, name, counts)
		}
	}
	return dst
}

// device returns what follows "MAJOR:MINOR" in the line of a device; nil if there is
// none.
func device(io, major, minor []byte) []byte {
	for len(io) > 0 {
		var l []byte
		l, io = line(io)
		id, rest := field(l)
		n := len(major)
		if len(id) == n+1+len(minor) && string(id[:n]) == string(major) && id[n] == ':' && string(id[n+1:]) == string(minor) && len(rest) > 0 {
			return rest
		}
	}
	return nil
}

const sector = 512 // bytes

func appendDisk(dst, major, minor, name, counts []byte) []byte {
	reads, read := count(counts, "rios="), count(counts, "rbytes=")/sector
	writes, written := count(counts, "wios="), count(counts, "wbytes=")/sector
	discards, discarded := count(counts, "dios="), count(counts, "dbytes=")/sector
	for k := len(major); k < 4; k++ {
		dst = append(dst, ' ')
	}
	dst = append(append(dst, major...), ' ')
	for k := len(minor); k < 7; k++ {
		dst = append(dst, ' ')
	}
	dst = append(append(dst, minor...), ' ')
	dst = append(append(dst, name...), ' ')
	// Fields 1 to 17 of Documentation/admin-guide/iostats.rst of Linux.
	fields := [...]uint64{reads, 0, read, 0, writes, 0, written, 0, 0, 0, 0, discards, 0, discarded, 0, 0, 0}
	for i, n := range fields {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = appendNumber(dst, n)
	}
	return append(dst, '\n')
}

// count returns the number after key, such as "rbytes=", in a line.
func count(text []byte, key string) uint64 {
	for len(text) > 0 {
		var f []byte
		f, text = field(text)
		if hasPrefix(f, key) {
			n, _ := Number(f[len(key):])
			return n
		}
	}
	return 0
}
