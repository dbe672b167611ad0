package trace

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// events reads a trace as viewers do, which end the array themselves.
func events(t *testing.T, path string) []event {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []event
	if err := json.Unmarshal([]byte(strings.TrimSuffix(string(text), ",\n")+"]"), &all); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return all
}

func off(t *testing.T) {
	t.Cleanup(func() {
		if f := trace.Swap(nil); f != nil {
			f.Close()
		}
	})
}

// Events of two processes are in one array, and a span has the time of what is in it.
func TestEvents(t *testing.T) {
	off(t)
	path := filepath.Join(t.TempDir(), "trace.json")
	t.Setenv(Variable, path)
	if err := Begin("croft start"); err != nil {
		t.Fatal(err)
	}
	outer := Span("start", "web")
	Span("mount")()
	outer()
	if env := Environment(); len(env) != 1 || env[0] != Variable+"="+path {
		t.Errorf("the environment is %q", env)
	}
	if err := Begin("croft monitor"); err != nil {
		t.Fatal(err)
	}
	End()
	Instant("after the end")
	if _, set := os.LookupEnv(Variable); set || On() || Environment() != nil {
		t.Error("it goes on after its end")
	}
	all := events(t, path)
	var names []string
	for _, e := range all {
		names = append(names, e.Phase+" "+e.Name)
		if e.Process != os.Getpid() {
			t.Errorf("%+v", e)
		}
	}
	if got := strings.Join(names, ", "); got != "M process_name, i main begins, X mount, X start web, M process_name, i main begins" {
		t.Fatal(got)
	}
	if in, out := all[2], all[3]; in.Time < out.Time || in.Time+in.Duration > out.Time+out.Duration || all[0].Args["name"] != "croft start" {
		t.Errorf("%+v, %+v", in, out)
	}
}

// Without the variable nothing is written, and a file that cannot be opened is an error.
func TestNoTrace(t *testing.T) {
	off(t)
	t.Setenv(Variable, "")
	if err := Begin("croft"); err != nil || On() || Environment() != nil {
		t.Errorf("%v, %v", err, Environment())
	}
	Span("nothing")()
	t.Setenv(Variable, filepath.Join(t.TempDir(), "missing", "file"))
	if err := Begin("croft"); err == nil || On() {
		t.Error("a trace in a missing directory")
	}
}
