package template

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// exists reports whether name leads to a file inside t.
func (t *tree) exists(name string) bool {
	_, ok := t.realName(name)
	return ok
}

// realName is the path that name leads to inside t, all links followed.
func (t *tree) realName(name string) (string, bool) {
	fd, err := t.openat2(name, unix.O_PATH, 0)
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	p, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	return p, err == nil
}

// readFile reads at most limit bytes of the regular file that name leads to
// inside t, and its time.
func (t *tree) readFile(name string, limit int64) ([]byte, time.Time, error) {
	// A FIFO in a foreign archive would block without O_NONBLOCK.
	fd, err := t.openat2(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, time.Time{}, err
	}
	f := os.NewFile(uintptr(fd), filepath.Base(name))
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	if !st.Mode().IsRegular() {
		return nil, time.Time{}, unix.EINVAL
	}
	b, err := io.ReadAll(io.LimitReader(f, limit))
	return b, st.ModTime(), err
}

// osRelease reads os-release(5): the distribution, its release, and the time
// of the file, all zero where it is absent or cannot be read.
func osRelease(t *tree) (id, version string, at time.Time) {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		b, at, err := t.readFile(name, maxOSRelease)
		if err != nil {
			continue
		}
		v := parseOSRelease(string(b))
		return v["ID"], v["VERSION_ID"], at
	}
	return "", "", time.Time{}
}

// parseOSRelease reads NAME=value lines, values bare or quoted as a shell
// would. A line that is none is skipped, as os-release(5) wants.
func parseOSRelease(text string) map[string]string {
	vars := map[string]string{}
	for line := range strings.Lines(text) {
		k, v, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || k == "" || k[0] == '#' {
			continue
		}
		if len(v) >= 2 && (v[0] == '"' || v[0] == '\'') && v[len(v)-1] == v[0] {
			v = v[1 : len(v)-1]
		}
		vars[k] = unescape(v)
	}
	return vars
}

// unescape takes away the backslashes that protect a character from a shell.
func unescape(v string) string {
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] == '\\' && i+1 < len(v) {
			i++
		}
		b.WriteByte(v[i])
	}
	return b.String()
}
