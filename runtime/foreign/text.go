package foreign

import (
	"iter"
	"math"
	"strconv"
	"strings"
)

// lines yields the lines of text without those that are empty or begin with one of the
// characters of comment.
func lines(text, comment string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if line == "" || strings.ContainsRune(comment, rune(line[0])) {
				continue
			}
			if !yield(line) {
				return
			}
		}
	}
}

// options reads KEY=VALUE,KEY=VALUE. A word without "=" has the key "".
func options(text string) map[string]string {
	all := map[string]string{}
	for word := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(word), "=")
		if !ok {
			key, value = "", key
		}
		if _, twice := all[key]; !twice {
			all[key] = value
		}
	}
	return all
}

// size reads a number with a unit. Each unit is a power of step; the suffixes B and iB
// are allowed.
func size(text string, step float64) (int64, bool) {
	text = strings.TrimSpace(text)
	digits := strings.TrimRight(text, "BbiKMGTPEkmgtpe ")
	unit := strings.TrimSpace(text[len(digits):])
	if strings.HasSuffix(unit, "iB") {
		step = 1024
	}
	unit = strings.ToUpper(strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(unit, "B"), "b"), "i"))
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || n < 0 || len(unit) > 1 {
		return 0, false
	}
	if unit != "" {
		n *= math.Pow(step, float64(strings.Index("KMGTPE", unit)+1))
	}
	if n >= math.MaxInt64 || math.IsNaN(n) {
		return 0, false
	}
	return int64(n), true
}

// integer reads a number.
func integer(text string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return n, err == nil
}

// milli reads a number in thousandths.
func milli(text string) (int64, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(n >= 0 && n < 1e6) {
		return 0, false
	}
	return int64(math.Round(n * 1000)), true
}

// truth reads a yes or no.
func truth(text string) bool {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "1", "yes", "true", "on":
		return true
	}
	return false
}

// id reads a user or group id.
func id(text string) (uint32, bool) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err == nil
}
