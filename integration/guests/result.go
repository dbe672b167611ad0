package guests

import (
	"encoding/json"
	"regexp"
	"strings"
)

// A Result is what became known of one row of a table on one kind of host.
type Result struct {
	Table   string // "programs" or "sandbox"
	Name    string
	Version string // of a program
	Host    string // "v1" or "v2", by its cgroups
	First   string // how the first use ended
	Again   string // how the use after a restart of the VPS ended, of a program
	Remark  string
}

// How a use may end, beside a cause of a failure.
const (
	Works   = "works"
	Missing = "not possible" // and why: the host lacks something
)

// mark begins what a test prints of a Result. Other text may precede it on the line.
const mark = "result-of-guests: "

// Line is the line that a test prints.
func (r Result) Line() string {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // it has strings only
	}
	return mark + string(text)
}

var line = regexp.MustCompile(mark + `(\{.*\})`)

// ReadLine returns the Result that a line of a test's output has, if it has one.
func ReadLine(text string) (r Result, found bool) {
	m := line.FindStringSubmatch(text)
	if m == nil {
		return r, false
	}
	return r, json.Unmarshal([]byte(m[1]), &r) == nil
}

// Fails is the outcome of a script that sh -x has traced on its standard error: the
// command at which it ended.
func Fails(trace string) string {
	last := ""
	for text := range strings.Lines(trace) {
		if command, found := strings.CutPrefix(strings.TrimLeft(text, "+"), " "); found && strings.HasPrefix(text, "+") {
			last = strings.TrimSpace(command)
		}
	}
	return "fails at `" + last + "`"
}
