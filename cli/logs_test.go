package cli

import (
	"io"
	"strings"
	"testing"
	"time"

	"croft/cli/command"
	"croft/runtime"
)

// On a terminal logs prints no escape sequences, unless it is told to.
func TestLogsOnATerminal(t *testing.T) {
	for args, want := range map[string]string{
		"logs web":       "boot of web\r\n[ OK ]\r\n",
		"logs --raw web": "boot of web\r\n[\x1b[32m OK \x1b[0m]\r\n",
	} {
		slave, master := pty(t)
		getenv := func(key string) string {
			return map[string]string{"FAKE_LOG": "[\x1b[32m OK \x1b[0m]\n"}[key]
		}
		a := &command.App{
			Stdio:   runtime.Stdio{In: slave, Out: slave, Err: slave},
			Connect: func(o runtime.Options) (command.Manager, error) { return newFake(o, getenv) },
			Getenv:  getenv, Now: time.Now,
		}
		if got := execute(a, append([]string{"croft"}, strings.Fields(args)...)); got != 0 {
			t.Errorf("%s: status %d", args, got)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(master, got); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", args, got, err, want)
		}
	}
}
