package mounts

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"croft/internal/inside"
	"croft/internal/proc"
)

// uses reports whether process pid has a file of the mount open or mapped, runs a
// program of it, or has its root or working directory there.
func uses(pid int, mount uint64) bool {
	dir := fmt.Sprintf("/proc/%d/", pid)
	for _, pattern := range []string{"cwd", "root", "exe", "fd/*", "map_files/*"} {
		links, _ := filepath.Glob(dir + pattern)
		for _, link := range links {
			var st unix.Statx_t
			err := unix.Statx(unix.AT_FDCWD, link, unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &st)
			if err == nil && st.Mnt_id == mount {
				return true
			}
		}
	}
	return false
}

// describe names process pid, with its number inside: "12 (nginx)".
func describe(pid int) string {
	number := "a process"
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		// The host's first (Linux 4.1).
		if f := strings.Fields(line); len(f) >= 3 && f[0] == "NSpid:" {
			number = "process " + f[2]
		}
	}
	stat, err := proc.ReadStat(pid)
	if err != nil {
		return number
	}
	return fmt.Sprintf("%s (%s)", number, printable(stat.Command))
}

// printable returns text of a guest without what could confuse a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}

// mountsBelow returns the targets of mounts inside that are below target.
func mountsBelow(p *inside.Process, target string) []string {
	text, err := p.ReadFile("mountinfo")
	if err != nil {
		return nil
	}
	all, err := mountinfo.GetMountsFromReader(bytes.NewReader(text), func(i *mountinfo.Info) (skip, stop bool) {
		return !strings.HasPrefix(i.Mountpoint, target+"/"), false
	})
	if err != nil {
		return nil
	}
	var below []string
	for _, i := range all {
		below = append(below, printable(i.Mountpoint))
	}
	return below
}
