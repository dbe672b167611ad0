package runtime

import (
	"os"
	"path/filepath"
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

func TestLookFindsInitInside(t *testing.T) {
	root, outside := trap(t)
	if look := (hostGuests{}).Look(opened(t, root)); look.Init != "" {
		t.Fatalf("%+v", look)
	}
	// A link to the host's init is none; the next candidate is.
	if err := os.Symlink(outside+"/secret", root+"/sbin/init"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/init", []byte("#!"), 0o755); err != nil {
		t.Fatal(err)
	}
	if look := (hostGuests{}).Look(opened(t, root)); look.Init != "/init" {
		t.Fatalf("%+v", look)
	}
	if err := os.Remove(root + "/sbin/init"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/init", root+"/sbin/init"); err != nil {
		t.Fatal(err)
	}
	if look := (hostGuests{}).Look(opened(t, root)); look.Init != "/sbin/init" {
		t.Fatalf("%+v", look)
	}
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
		a, err := userInside(opened(t, root), who)
		if err != nil {
			t.Errorf("%q: %v", who, err)
			continue
		}
		if got := a.String(); got != want {
			t.Errorf("%q is %q, want %q", who, got, want)
		}
	}
	if _, err := userInside(opened(t, root), "nobody-here"); err == nil || !strings.Contains(err.Error(), "nobody-here") {
		t.Errorf("an unknown user: %v", err)
	}
}
