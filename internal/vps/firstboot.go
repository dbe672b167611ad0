package vps

import (
	"bytes"
	"strings"

	"croft/internal/fail"
)

// MaxFirstBoot is the largest size of the script of a first boot, in bytes.
const MaxFirstBoot = 1 << 20

// CheckFirstBoot returns fail.Usage for what cannot be the script of a first boot.
func CheckFirstBoot(script []byte) error {
	first, _, _ := bytes.Cut(script, []byte("\n"))
	switch {
	case len(bytes.TrimSpace(script)) == 0:
		return fail.New(fail.Usage, "the script is empty")
	case len(script) > MaxFirstBoot:
		return fail.New(fail.Usage, "the script has more than %d bytes", MaxFirstBoot)
	case bytes.IndexByte(script, 0) >= 0:
		return fail.New(fail.Usage, "the file is not a script: it has a byte that is zero")
	case bytes.HasPrefix(first, []byte("#!")) && bytes.HasSuffix(first, []byte("\r")):
		return fail.New(fail.Usage, "the lines of the script end as on Windows (CR LF): convert it, for example with dos2unix")
	case bytes.HasPrefix(first, []byte("#!")) && !strings.HasPrefix(Interpreter(script)[0], "/"):
		return fail.New(fail.Usage, "after #! in the first line of the script comes the path of an interpreter, such as /bin/sh")
	}
	return nil
}

// Interpreter returns the command that runs the script, without the name of the file:
// the one of a first line with #!, with at most one argument as the kernel does it
// (execve(2)), or /bin/sh.
func Interpreter(script []byte) []string {
	first, _, _ := bytes.Cut(script, []byte("\n"))
	line, ok := strings.CutPrefix(string(first), "#!")
	if !ok {
		return []string{"/bin/sh"}
	}
	program, argument, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(line, "\t", " ")), " ")
	if argument = strings.TrimSpace(argument); argument != "" {
		return []string{program, argument}
	}
	return []string{program}
}

// SetFirstBoot gives the VPS a script that runs once, after its next boot, or replaces
// the one that waits. Without a script it withdraws that. The script is not among the
// settings: the caller of the edit writes the file.
type SetFirstBoot struct{ Script []byte }

// Apply checks the script.
func (e SetFirstBoot) Apply(*VPS) error {
	if len(e.Script) == 0 {
		return nil
	}
	return CheckFirstBoot(e.Script)
}

// Part is "".
func (SetFirstBoot) Part() Part { return "" }

// String does not show the script, which may have secrets.
func (e SetFirstBoot) String() string {
	if len(e.Script) == 0 {
		return "no first-boot script"
	}
	return "first-boot script"
}

// FirstBootSet returns the last script that the edits set. ok is false if they set none
// and withdraw none.
func FirstBootSet(edits ...Edit) (script []byte, ok bool) {
	for _, e := range edits {
		if later, is := e.(AtRestart); is {
			e = later.Edit
		}
		if s, is := e.(SetFirstBoot); is {
			script, ok = s.Script, true
		}
	}
	return script, ok
}
