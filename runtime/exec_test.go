package runtime

import (
	"slices"
	"strings"
	"testing"
)

func TestExecEnv(t *testing.T) {
	t.Setenv("SECRET", "x")
	root := t.TempDir()
	a, err := userInside(opened(t, root), "")
	if err != nil {
		t.Fatal(err)
	}
	env := execEnv(a, ExecOptions{Env: []string{"PATH=/x", "A=1", "A=2"}})
	want := []string{"HOME=/root", "USER=root", "LOGNAME=root", "LANG=C.UTF-8", "PATH=/x", "A=2"}
	if !slices.Equal(env, want) {
		t.Errorf("%q, want %q", env, want)
	}
	if term := execEnv(a, ExecOptions{Terminal: true}); !slices.ContainsFunc(term, func(e string) bool { return strings.HasPrefix(e, "TERM=") }) {
		t.Errorf("on a terminal there is no TERM: %q", term)
	}
}
