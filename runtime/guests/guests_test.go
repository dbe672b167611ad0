package guests

import (
	"os"
	"path/filepath"
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

func TestFindInit(t *testing.T) {
	root, outside := trap(t)
	if init := (Access{}).FindInit(opened(t, root)); init.Path != "" {
		t.Fatalf("%+v", init)
	}
	// A link to the host's init is none; the next candidate is.
	if err := os.Symlink(outside+"/secret", root+"/sbin/init"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/init", []byte("#!"), 0o755); err != nil {
		t.Fatal(err)
	}
	if init := (Access{}).FindInit(opened(t, root)); init.Path != "/init" {
		t.Fatalf("%+v", init)
	}
	if err := os.Remove(root + "/sbin/init"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/init", root+"/sbin/init"); err != nil {
		t.Fatal(err)
	}
	if init := (Access{}).FindInit(opened(t, root)); init.Path != "/sbin/init" {
		t.Fatalf("%+v", init)
	}
}
