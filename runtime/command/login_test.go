package command

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"croft/internal/fail"
	"croft/internal/inside"
)

func TestAsLogin(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"passwd": "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n", "group": "root:x:0:\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := inside.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, c := range []struct {
		o    Options
		want []string
	}{
		{Options{}, []string{"su", "-", "root"}},
		{Options{User: "1000"}, []string{"su", "-", "ann"}},
		{Options{User: "ann", Args: []string{"echo", "it's", "$x"}}, []string{"su", "-", "ann", "-c", `exec echo 'it'"'"'s' '$x'`}},
		{Options{User: "ann", Cwd: "/a b", Env: []string{"A=b c"}, Args: []string{"id"}}, []string{"su", "-", "ann", "-c", `cd '/a b' && exec env 'A=b c' id`}},
	} {
		got, err := c.o.asLogin(root)
		if err != nil || !slices.Equal(got.Args, c.want) || got.User != "" || got.Cwd != "/" || got.Env != nil {
			t.Errorf("%+v: %+v, %v", c.o, got, err)
		}
	}
	for _, who := range []string{"bob", "1001", "ann:ann"} {
		if _, err := (Options{User: who}).asLogin(root); !fail.Is(err, fail.Usage) {
			t.Errorf("%s: %v", who, err)
		}
	}
}
