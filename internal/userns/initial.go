package userns

import (
	"os"
	"strconv"
	"strings"
)

// Initial reports whether this process is in the initial user namespace. Root of a VPS is
// not: the kernel does not allow it what is for the whole machine.
func Initial() bool { return initial(idMap()) }

// Trial returns the first of 65536 ids that croft gives to no VPS: see endIDs in
// internal/state. Inside a VPS that has ids for VPSs of its own, but not so high ones, they
// are those before the first VPS.
func Trial() uint32 { return trial(idMap()) }

// idMap returns the ids of this process's user namespace (user_namespaces(7)); "" if they
// are not known.
func idMap() string {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return ""
	}
	return string(text)
}

func initial(idMap string) bool {
	fields := strings.Fields(idMap)
	return len(fields) == 0 || len(fields) == 3 && fields[0] == "0" && fields[1] == "0" && fields[2] == "4294967295"
}

func trial(idMap string) uint32 {
	const last, beforeFirst = 0x7FFF0000, 1<<20 - 65536
	for line := range strings.Lines(idMap) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		first, err1 := strconv.ParseUint(fields[0], 10, 32)
		size, err2 := strconv.ParseUint(fields[2], 10, 32)
		if err1 == nil && err2 == nil && first <= beforeFirst && first+size >= beforeFirst+65536 && first+size < last+65536 {
			return beforeFirst
		}
	}
	return last
}
