// Package consolelog keeps the console logs of a VPS, one for each boot.
package consolelog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// keptBoots is how many console logs of a VPS are kept, with that of the running
// boot.
const keptBoots = 10

// Logs are the console logs of one VPS: boot-N.log, and boot-N.log.1 with the older
// part, which the holder sets aside when the log grows too large.
type Logs struct {
	dir   string
	boots []int // ascending
}

// Open lists the logs in dir. There are none if dir does not exist.
func Open(dir string) (Logs, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Logs{}, fmt.Errorf("cannot list console logs: %w", err)
	}
	l := Logs{dir: dir}
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), "boot-")
		number, isLog := strings.CutSuffix(number, ".log")
		if n, err := strconv.Atoi(number); err == nil && ok && isLog && n > 0 {
			l.boots = append(l.boots, n)
		}
	}
	slices.Sort(l.boots)
	return l, nil
}

// File is the log of a boot.
func (l Logs) File(boot int) string { return filepath.Join(l.dir, fmt.Sprintf("boot-%d.log", boot)) }

// Next returns the number of the next boot.
func (l Logs) Next() int {
	if len(l.boots) == 0 {
		return 1
	}
	return l.boots[len(l.boots)-1] + 1
}

// Begin creates the log of boot, which the caller closes, and removes the oldest
// logs.
func (l Logs) Begin(boot int) (*os.File, error) {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot create console log: %w", err)
	}
	for len(l.boots) >= keptBoots {
		for _, file := range []string{l.File(l.boots[0]), l.File(l.boots[0]) + ".1"} {
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("cannot remove console log: %w", err)
			}
		}
		l.boots = l.boots[1:]
	}
	f, err := os.OpenFile(l.File(boot), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot create console log: %w", err)
	}
	return f, nil
}

// Choose returns the boot that boot means: n > 0 is the n-th, 0 the newest, -1 the
// one before it. It reports false if that boot has no log.
func (l Logs) Choose(boot int) (int, bool) {
	if boot > 0 {
		return boot, slices.Contains(l.boots, boot)
	}
	i := len(l.boots) - 1 + boot
	if i < 0 {
		return 0, false
	}
	return l.boots[i], true
}

// String lists the boots that have a log.
func (l Logs) String() string {
	var s []string
	for _, b := range l.boots {
		s = append(s, strconv.Itoa(b))
	}
	return strings.Join(s, " ")
}
