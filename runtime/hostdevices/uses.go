package hostdevices

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"croft/bundles"
)

// Uses says in words what the host itself does with the block devices among
// devices, and with their partitions and what is on top of them: it has mounted
// them, or swaps to them. A host that cannot be asked says nothing.
func (h Host) Uses(devices []bundles.Device) []string {
	var all []string
	for _, d := range devices {
		if d.Type != "b" {
			continue
		}
		numbers := h.related(fmt.Sprintf("%d:%d", d.Major, d.Minor))
		harm := "what it writes there destroys the file system"
		if d.Access != "" && !strings.Contains(d.Access, "w") {
			harm = "it can read all files there"
		}
		if at := h.mounts(numbers); len(at) > 0 {
			all = append(all, fmt.Sprintf("it has the device %s, which the host has mounted on %s: %s", d.Source, some(at), harm))
		}
		if h.swaps(numbers) {
			all = append(all, fmt.Sprintf("it has the device %s, to which the host swaps", d.Source))
		}
	}
	return all
}

// some names at most three of all.
func some(all []string) string {
	if len(all) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:3], ", "), len(all)-3)
	}
	return strings.Join(all, ", ")
}

// related returns number, its partitions, and the devices that are on top of all
// these, such as logical volumes. Numbers are MAJOR:MINOR.
func (h Host) related(number string) []string {
	all := []string{number}
	for n := 0; n < len(all); n++ {
		dir := filepath.Join(h.Sys, "dev/block", all[n])
		parts, _ := filepath.Glob(filepath.Join(dir, "*/partition"))
		for n, p := range parts {
			parts[n] = filepath.Join(filepath.Dir(p), "dev")
		}
		holders, _ := filepath.Glob(filepath.Join(dir, "holders/*/dev"))
		for _, file := range append(parts, holders...) {
			text, err := os.ReadFile(file)
			if of := strings.TrimSpace(string(text)); err == nil && !slices.Contains(all, of) {
				all = append(all, of)
			}
		}
	}
	return all
}

// mounts returns where this host has mounted the devices with these numbers.
func (h Host) mounts(numbers []string) []string {
	text, err := os.ReadFile(filepath.Join(h.Proc, "self/mountinfo"))
	if err != nil {
		return nil
	}
	var at []string
	for line := range strings.Lines(string(text)) { // proc_pid_mountinfo(5)
		head, tail, _ := strings.Cut(line, " - ")
		fields, rest := strings.Fields(head), strings.Fields(tail)
		if len(fields) < 5 || len(rest) < 2 {
			continue
		}
		// btrfs and others have a number of their own there.
		if !slices.Contains(numbers, fields[2]) && !slices.Contains(numbers, numberOf(rest[1])) {
			continue
		}
		if dir := unescape(fields[4]); !slices.Contains(at, dir) {
			at = append(at, dir)
		}
	}
	return at
}

// swaps reports whether the host swaps to a device with one of these numbers.
func (h Host) swaps(numbers []string) bool {
	text, err := os.ReadFile(filepath.Join(h.Proc, "swaps"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 0 && slices.Contains(numbers, numberOf(unescape(fields[0]))) {
			return true
		}
	}
	return false
}

// numberOf is the number of the block device at path; "" if it is something else.
func numberOf(path string) string {
	var st unix.Stat_t
	if !filepath.IsAbs(path) || unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return ""
	}
	return fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
}

// unescape undoes what the kernel does to spaces in names.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
