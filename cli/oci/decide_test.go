package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/cli/cmdline"
	"croft/runtime/container"
)

// typed returns the line that a verb gets for a command line, without running it.
func typed(t *testing.T, words string) *line {
	t.Helper()
	p := &program{name: "runc"}
	table := p.table()
	var err error
	if p.typed, err = cmdline.Read(table, strings.Fields(words)); err != nil {
		t.Fatal(err)
	}
	l := &line{program: p}
	p.typed.Verb.Run = func(_ context.Context, i *cmdline.Invocation) error {
		l.Invocation = i
		return nil
	}
	if err := p.typed.Run(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	return l
}

// Where the streams of a process go is decided before it is created.
func TestNewLaunch(t *testing.T) {
	const noSocket = "cannot allocate tty if runc will detach without setting console socket"
	const needless = "cannot use console socket if runc will not detach or allocate tty"
	for _, c := range []struct {
		words            string
		terminal, detach bool
		want             string
	}{
		{"run ID", false, false, ""},
		{"run ID", true, false, ""},
		{"run --detach ID", false, true, ""},
		{"run --detach ID", true, false, noSocket},
		{"run --detach --console-socket S ID", true, true, ""},
		{"run --detach --console-socket S ID", false, false, needless},
		{"run --console-socket S ID", true, false, needless},
		{"create ID", false, true, ""},
		{"create ID", true, false, noSocket},
		{"create --console-socket S ID", true, true, ""},
		{"exec ID ls", true, false, ""},
		{"exec --detach --tty ID ls", true, false, noSocket},
	} {
		a, err := typed(t, c.words).newLaunch(nil, &specs.Process{Terminal: c.terminal})
		switch {
		case err != nil && err.Error() != c.want, err == nil && c.want != "":
			t.Errorf("%s, terminal %v: %v, want %q", c.words, c.terminal, err, c.want)
		case err == nil && (a.detach != c.detach || a.terminal != c.terminal):
			t.Errorf("%s, terminal %v: detach %v, terminal %v", c.words, c.terminal, a.detach, a.terminal)
		}
	}
}

// Descriptors of a service manager go to the container if it says that they are
// for this process, but never to exec.
func TestPassedDescriptors(t *testing.T) {
	own := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		words, pid, fds string
		want            []string
	}{
		{"run ID", own, "0", nil},
		{"run ID", "1", "1", nil},
		{"run ID", own, "many", nil},
		{"exec ID ls", own, "1", nil},
	} {
		t.Setenv("LISTEN_PID", c.pid)
		t.Setenv("LISTEN_FDS", c.fds)
		a, p := new(launch), new(specs.Process)
		if err := a.pass(typed(t, c.words), p); err != nil || len(a.extra) != 0 || fmt.Sprint(p.Env) != fmt.Sprint(c.want) {
			t.Errorf("%+v: %d descriptors, %v, %v", c, len(a.extra), p.Env, err)
		}
	}
	t.Setenv("LISTEN_FDS", "")
	if err := new(launch).pass(typed(t, "run --preserve-fds x ID"), new(specs.Process)); err == nil || !strings.Contains(err.Error(), `"x" for flag -preserve-fds`) {
		t.Errorf("an invalid number: %v", err)
	}
}

func TestExitStatus(t *testing.T) {
	for want, err := range map[int]error{
		1:   errors.New("x"),
		3:   fmt.Errorf("x: %w", &cmdline.UnknownVerb{Name: "y"}),
		255: fmt.Errorf("x: %w", failure{255, errors.New("y")}),
	} {
		if got := exitStatus(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}

// Options of the command line change the process of the bundle.
func TestProcessOfExec(t *testing.T) {
	var p specs.Process
	l := typed(t, "exec -u 1000:100 -g 7 -g 8 -c CAP_SYS_TIME ID ls")
	l.addCapabilities(&p)
	if err := l.setUser(&p.User); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"user":{"uid":1000,"gid":100,"additionalGids":[7,8]},"cwd":"",` +
		`"capabilities":{"bounding":["CAP_SYS_TIME"],"effective":["CAP_SYS_TIME"],"permitted":["CAP_SYS_TIME"]}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for words, want := range map[string]string{
		"exec -u x ID ls":    "bad uid",
		"exec -u 1:x ID ls":  "bad gid",
		"exec -u -1 ID ls":   "bad uid",
		"exec -g many ID ls": "additional-gids must be a positive number many",
	} {
		if err := typed(t, words).setUser(new(specs.User)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", words, err, want)
		}
	}
}

func TestCheckProcess(t *testing.T) {
	for want, p := range map[string]*specs.Process{
		"process property must not be empty": nil,
		"Cwd property must not be empty":     {Args: []string{"a"}},
		"Cwd must be an absolute path":       {Args: []string{"a"}, Cwd: "b"},
		"args must not be empty":             {Cwd: "/"},
	} {
		if err := checkProcess(p); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if err := checkProcess(&specs.Process{Args: []string{"a"}, Cwd: "/"}); err != nil {
		t.Error(err)
	}
}

func TestReadConfig(t *testing.T) {
	t.Chdir(t.TempDir())
	for content, want := range map[string]string{
		"":                   "JSON specification file config.json not found",
		"null":               "config cannot be null",
		"{":                  "config.json: unexpected end of JSON input",
		`{"hostname":"web"}`: "",
	} {
		os.Remove(configFile)
		if content != "" {
			if err := os.WriteFile(configFile, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		spec, err := readConfig()
		if want == "" && (err != nil || spec.Hostname != "web") || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
}

// update changes only the limits that are given.
func TestLimitsOfUpdate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "limits.json")
	if err := os.WriteFile(file, []byte(`{"pids":{"limit":7},"cpu":null}`), 0o600); err != nil {
		t.Fatal(err)
	}
	const check = `"checkBeforeUpdate":false`
	for words, want := range map[string]string{
		"update ID":                               `{"memory":{` + check + `},"cpu":{},"pids":{},"blockIO":{}}`,
		"update --memory 1k ID":                   `{"memory":{"limit":1024,` + check + `},"cpu":{},"pids":{},"blockIO":{}}`,
		"update --memory -1 ID":                   `{"memory":{"limit":-1,"swap":0,` + check + `},"cpu":{},"pids":{},"blockIO":{}}`,
		"update --cpu-idle 1 ID":                  `{"memory":{` + check + `},"cpu":{"shares":0,"idle":1},"pids":{},"blockIO":{}}`,
		"update --pids-limit 0 ID":                `{"memory":{` + check + `},"cpu":{},"pids":{"limit":0},"blockIO":{}}`,
		"update --blkio-weight 20 ID":             `{"memory":{` + check + `},"cpu":{},"pids":{},"blockIO":{"weight":20}}`,
		"update -r " + file + " ID":               `{"memory":{` + check + `},"cpu":{},"pids":{"limit":7},"blockIO":{}}`,
		"update -r " + file + " --cpu-quota 5 ID": `{"memory":{` + check + `},"cpu":{},"pids":{"limit":7},"blockIO":{}}`,
	} {
		r, err := typed(t, words).resources()
		if err != nil {
			t.Errorf("%s: %v", words, err)
			continue
		}
		if got, err := json.Marshal(r); err != nil || string(got) != want {
			t.Errorf("%s:\n got %s, %v\nwant %s", words, got, err, want)
		}
	}
	for _, words := range []string{"update --memory lots ID", "update --cpu-share -1 ID", "update --pids-limit x ID", "update -r /does/not/exist ID"} {
		if _, err := typed(t, words).resources(); err == nil {
			t.Errorf("%s is accepted", words)
		}
	}
}

func TestPageServer(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:27": "192.0.2.1 27", "[2001:db8::1]:27": "2001:db8::1 27",
		"192.0.2.1": "Use --page-server ADDRESS:PORT to specify page server", ":27": "Use --page-server ADDRESS:PORT to specify page server",
		"a:x": "Invalid port number", "a:65536": "Invalid port number",
	} {
		var o container.CriuOptions
		got := ""
		if err := typed(t, "checkpoint --page-server "+address+" ID").pageServer(&o); err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprintf("%s %d", o.PageServer.Address, o.PageServer.Port)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

// A directory without containers is an empty list; a missing one too, unless
// the command line names it.
func TestStates(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	l := typed(t, "list")
	l.root = missing
	if all, err := l.states(); err != nil || len(all) != 0 {
		t.Errorf("the default directory is missing: %v, %v", all, err)
	}
	l = typed(t, "--root "+missing+" list")
	l.root = missing
	if _, err := l.states(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the named directory is missing: %v", err)
	}
	l.root = t.TempDir()
	if err := os.WriteFile(filepath.Join(l.root, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if all, err := l.states(); err != nil || len(all) != 0 {
		t.Errorf("a directory with a file: %v, %v", all, err)
	}
}

func TestFindRoot(t *testing.T) {
	t.Chdir("/tmp")
	for words, want := range map[string]string{"--root rel list": "/tmp/rel", "--root /r/../s list": "/s"} {
		l := typed(t, words)
		if err := l.findRoot(); err != nil || l.root != want {
			t.Errorf("%s: %s, %v", words, l.root, err)
		}
	}
	if err := typed(t, "--root / list").findRoot(); err == nil {
		t.Error("/ is accepted as root")
	}
}

// A PID file is replaced as a whole, and a file in the way is an error.
func TestWritePIDFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	for pid := range 2 {
		if err := writePIDFile(path, pid); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(path); err != nil || string(data) != strconv.Itoa(pid) {
			t.Errorf("%q, %v", data, err)
		}
	}
	if err := writePIDFile(filepath.Join(path, "no"), 1); err == nil {
		t.Error("a file below a file is written")
	}
}

func TestVersionText(t *testing.T) {
	for name, want := range map[string]string{"croft-oci": "croft-oci version 1.2\n", "runc": "runc version " + container.RuncVersion() + "+croft.1.2\n"} {
		if got := (&program{name: name, version: "1.2"}).versionText(); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
