package cli

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/runtime"
)

// The words for another host are those that were typed, without -H.
func TestWordsForAnotherHost(t *testing.T) {
	root := commands((&command.App{}))
	for typed, want := range map[string]string{
		"-H far list":                       "list",
		"-Hfar list":                        "list",
		"-H=far list":                       "list",
		"--host far list":                   "list",
		"--host=far list":                   "list",
		"list -H far":                       "list",
		"list -q --host far":                "list -q",
		"list -qH far":                      "list -q",
		"list -qHfar":                       "list -q",
		"-H one --host two list":            "list",
		"-H far --root /x start web --wait": "--root /x start web --wait",
		"exec -H far web ls -H":             "exec web ls -H",
		"exec web -H far -- ls -H x":        "exec web -- ls -H x",
		"stop -H far -- -H":                 "stop -- -H",
		"run --rm -H far -- true -H x":      "run --rm -- true -H x",
	} {
		l, err := cmdline.Read(root, strings.Fields(typed))
		if got := strings.Join(l.Elsewhere(), " "); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", typed, got, err, want)
		}
		if host, given := l.Global("host"); !given || host != "far" && host != "two" {
			t.Errorf("%s is for %q, %v", typed, host, given)
		}
	}
}

// sent returns the command line of ssh, after "exec" if croft becomes that, and the exit
// status of croft if there is no ssh.
func sent(t *testing.T, environment map[string]string, words ...string) (argv []string, status int) {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	a := &command.App{
		Stdio:   runtime.Stdio{In: null, Out: null, Err: null},
		Connect: func(runtime.Options) (command.Manager, error) { return nil, errors.New("it runs here") },
		Getenv:  func(name string) string { return environment[name] },
	}
	none := &exec.Error{Name: "ssh", Err: exec.ErrNotFound}
	a.Replace = func(ssh []string, _ int) error {
		argv = append([]string{"exec"}, ssh...)
		return none
	}
	a.Child = func(ssh []string, _ int) (int, error) {
		argv = ssh
		return 0, none
	}
	a.Screen = display.NewScreen(null, a.Getenv, a.Now)
	return argv, execute(a, append([]string{"croft"}, words...))
}

func TestAnotherHost(t *testing.T) {
	env := map[string]string{"CROFT_HOST": "ssh://root@far:2222"}
	for _, c := range []struct {
		env         map[string]string
		words, want string // what ssh gets before and after the script; "" is no ssh
		status      int
	}{
		{nil, "-H ssh://far list --json", "ssh -T -- far | 8 2 list --json", 8},
		{env, "list --json", "ssh -T -l root -p 2222 -- far | 8 2 list --json", 8},
		{env, "-H near list", "ssh -T -- near | 8 2 list", 8},
		{nil, "-H far exec web -- id", "exec ssh -T -- far | 125 125 exec web -- id", 125},
		{map[string]string{"CROFT_HOST": "far", "CROFT_SSH": "ssh -F x"}, "list", `/bin/sh -c exec ssh -F x "$@" ssh -T -- far | 8 2 list`, 8},
		{env, "version", "ssh -T -l root -p 2222 -- far | 8 2 version", 8},
		{env, "man", "", 0},
		{env, "help list", "", 0},
		{env, "list --help", "", 0},
		{nil, "-H far man", "", 2},
		{nil, "-H far completion bash", "", 2},
		{nil, "-H far lst", "", 2},
		{nil, "-H -oProxyCommand=x list", "", 2},
		{nil, "-H= list", "", 2},
		{nil, "--host far", "", 2},
		{map[string]string{"CROFT_HOST": "ftp://far"}, "list", "", 2},
		{nil, "list", "", 1},
	} {
		argv, status := sent(t, c.env, strings.Fields(c.words)...)
		got := ""
		if len(argv) > 0 {
			last := argv[len(argv)-1]
			versionEnd := strings.LastIndex(last, "' ")
			got = strings.Join(argv[:len(argv)-1], " ") + " |" + last[versionEnd+1:]
		}
		if got != c.want || status != c.status {
			t.Errorf("%v %s: status %d, %q\nwant %d, %q", c.env, c.words, status, got, c.status, c.want)
		}
	}
}

// If ssh fails, the user gets the command that shows why, and that trusts a new host.
func TestUnreachableHost(t *testing.T) {
	for _, c := range []struct {
		ssh    string
		status int
		want   string
	}{
		{"", 255, "croft: ssh cannot run croft on root@far:2222\ncroft: hint: ssh -p 2222 root@far true\n"},
		{"ssh -F x", 255, "croft: ssh cannot run croft on root@far:2222\ncroft: hint: ssh -F x -p 2222 root@far true\n"},
		{"", 3, ""},
		{"", 0, ""},
	} {
		file, err := os.Create(t.TempDir() + "/stderr")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		a := &command.App{
			Stdio:  runtime.Stdio{In: file, Out: file, Err: file},
			Getenv: func(name string) string { return map[string]string{"CROFT_SSH": c.ssh}[name] },
			Child:  func([]string, int) (int, error) { return c.status, nil },
		}
		status := execute(a, []string{"croft", "-H", "root@far:2222", "list"})
		got, err := os.ReadFile(file.Name())
		if err != nil || status != c.status || string(got) != c.want {
			t.Errorf("ssh exits with %d: %d, %q, %v", c.status, status, got, err)
		}
	}
}

// Completion asks no other host, and offers nothing of this one for it.
func TestCompletionForAnotherHost(t *testing.T) {
	if got := completed(t, "-H far stop "); len(got) > 0 {
		t.Errorf("names of VPSs: %q", got)
	}
	if got := completed(t, "-H far sto"); !slices.Equal(got, []string{"stop"}) {
		t.Errorf("commands: %q", got)
	}
	if r := croft(t, map[string]string{"CROFT_HOST": "far"}, completeCommand, "stop", ""); r.status != 0 || r.out != "" {
		t.Errorf("names of VPSs with CROFT_HOST: %+v", r)
	}
}
