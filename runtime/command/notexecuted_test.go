package command

import (
	"errors"
	"io/fs"
	"os/exec"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A command that cannot be executed is told from a failure of croft's own by the
// file inside and by the number of the error, whatever words are around it.
func TestNotExecuted(t *testing.T) {
	files := map[string]error{
		"/usr/bin/tool": nil, "/bin/tool": nil, "/bin/plain": unix.EACCES, "/bin/sub": unix.EISDIR, "/root/own": nil,
		"/usr/bin/both": unix.EACCES, "/bin/both": nil,
	}
	executable := func(file string) error {
		why, is := files[file]
		if !is {
			return fs.ErrNotExist
		}
		return why
	}
	own := errors.New("cannot write cgroup.procs: no such file or directory")
	for _, c := range []struct {
		command string
		err     error
		status  int
		text    string
	}{
		{"absent", own, 127, `no command "absent" inside`},
		{"/bin/absent", own, 127, `no command "/bin/absent" inside`},
		{"plain", own, 126, `cannot execute "plain" inside: permission denied`},
		{"/bin/sub", own, 126, `cannot execute "/bin/sub" inside: is a directory`},
		{"./own", &exec.Error{Name: "./own", Err: unix.EACCES}, 126, `cannot execute "./own" inside: permission denied`},
		{"both", own, 0, ""},
		{"tool", &exec.Error{Name: "tool", Err: exec.ErrNotFound}, 127, `no command "tool" inside`},
		{"tool", own, 0, ""},
		{"tool", &fs.PathError{Op: "open", Path: "/usr/bin/tool", Err: unix.EACCES}, 0, ""},
	} {
		p := &specs.Process{Args: []string{c.command}, Cwd: "/root", Env: []string{"PATH=/ignored", "PATH=/usr/bin::relative:/bin"}}
		got := NotExecuted(p, executable, c.err)
		switch {
		case c.status == 0 && got != nil:
			t.Errorf("%s, %v: %v", c.command, c.err, got)
		case c.status != 0 && (got == nil || got.Status != c.status || got.Error() != c.text):
			t.Errorf("%s, %v: %v, want %d %s", c.command, c.err, got, c.status, c.text)
		}
	}
}
