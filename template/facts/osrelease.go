package facts

import (
	"strings"
	"time"

	"croft/template/layer"
)

// maxOSRelease is how many bytes of an os-release file croft reads.
const maxOSRelease = 64 << 10

// osRelease returns the distribution and release in t's os-release(5) file, and the
// time of the file. All are zero if it is missing or cannot be read.
func osRelease(t *layer.Tree) (id, version string, at time.Time) {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		b, at, err := t.ReadFile(name, maxOSRelease)
		if err != nil {
			continue
		}
		v := parseOSRelease(string(b))
		return v["ID"], v["VERSION_ID"], at
	}
	return "", "", time.Time{}
}

// parseOSRelease parses lines NAME=value. Values may have quotes as in a shell. Other
// lines are skipped, as os-release(5) says.
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

// unescape removes the backslashes before characters that a shell would interpret.
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
