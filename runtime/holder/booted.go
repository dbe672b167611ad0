package holder

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Booted returns when the VPS said that it had booted, from the file that the
// holder made then (Config.Booted). The error is os.ErrNotExist if it has not.
func Booted(path string) (time.Time, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return time.Time{}, fmt.Errorf("read when it booted: %w", err)
	}
	sec, micro, _ := strings.Cut(strings.TrimSpace(string(text)), ".")
	s, err := strconv.ParseInt(sec, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read when it booted: %s: %w", path, err)
	}
	us, err := strconv.ParseInt(micro, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read when it booted: %s: %w", path, err)
	}
	return time.UnixMicro(s*1e6 + us), nil
}
