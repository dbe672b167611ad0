package command

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"croft/internal/inside"
)

// A root filesystem whose owner tries to lead croft out of it.
func trap(t *testing.T) (root, outside string) {
	t.Helper()
	dir := t.TempDir()
	root, outside = filepath.Join(dir, "root"), filepath.Join(dir, "outside")
	for _, d := range []string{root + "/etc", root + "/sbin", outside} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(outside+"/secret", []byte("the host's"), 0o644); err != nil {
		t.Fatal(err)
	}
	return root, outside
}

func opened(t *testing.T, dir string) *inside.Root {
	t.Helper()
	root, err := inside.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func TestUserInside(t *testing.T) {
	root, _ := trap(t)
	passwd := "root:x:0:0::/root:/bin/bash\nwww:x:33:33::/var/www:/bin/false\n"
	if err := os.WriteFile(root+"/etc/passwd", []byte(passwd), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/etc/group", []byte("root:x:0:\nwww:x:33:\nadm:x:4:www\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for who, want := range map[string]string{"": "root 0:0 /root", "www": "www 33:33 /var/www", "33:adm": "www 33:4 /var/www", "1000:7": "1000 1000:7 /"} {
		a, err := FindAccount(opened(t, root), who)
		if err != nil {
			t.Errorf("%q: %v", who, err)
			continue
		}
		if got := a.String(); got != want {
			t.Errorf("%q is %q, want %q", who, got, want)
		}
	}
	if _, err := FindAccount(opened(t, root), "nobody-here"); err == nil || !strings.Contains(err.Error(), "nobody-here") {
		t.Errorf("an unknown user: %v", err)
	}
}

func TestExecEnv(t *testing.T) {
	t.Setenv("SECRET", "x")
	root := t.TempDir()
	a, err := FindAccount(opened(t, root), "")
	if err != nil {
		t.Fatal(err)
	}
	env := environment(a, Options{Env: []string{"PATH=/x", "A=1", "A=2"}})
	want := []string{"HOME=/root", "USER=root", "LOGNAME=root", "LANG=C.UTF-8", "PATH=/x", "A=2"}
	if !slices.Equal(env, want) {
		t.Errorf("%q, want %q", env, want)
	}
	if term := environment(a, Options{Terminal: true}); !slices.ContainsFunc(term, func(e string) bool { return strings.HasPrefix(e, "TERM=") }) {
		t.Errorf("on a terminal there is no TERM: %q", term)
	}
}

func TestLastOfEach(t *testing.T) {
	got := strings.Join(LastOfEach([]string{"A=1", "B=2", "A=3", "AB=4"}), " ")
	if got != "B=2 A=3 AB=4" {
		t.Errorf("got %s", got)
	}
}
