package runtime

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"croft/network/guest"
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

func TestWriteInsideStaysInside(t *testing.T) {
	root, outside := trap(t)
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, root+name); err != nil {
			t.Fatal(err)
		}
	}
	link(outside+"/secret", "/etc/hostname") // the file itself leads out
	link("../../outside", "/etc/network")    // its directory does
	link("/sbin", "/etc/absolute")           // an absolute link is one inside
	if err := os.Mkdir(root+"/outside", 0o755); err != nil {
		t.Fatal(err)
	}
	uid := uint32(os.Getuid())
	for name, want := range map[string]string{
		"/etc/hostname":       "/etc/hostname",
		"/etc/network/secret": "/outside/secret", // ".." ends at the root
		"/etc/absolute/x":     "/sbin/x",
		"/made/for/it/deep":   "/made/for/it/deep",
	} {
		err := writeInside(root, uid, guest.File{Path: name, Mode: 0o640, Content: []byte("ours\n")})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := os.ReadFile(root + want)
		if err != nil || string(got) != "ours\n" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if info, err := os.Lstat(root + want); err != nil || info.Mode() != 0o640 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if got, err := os.ReadFile(outside + "/secret"); err != nil || string(got) != "the host's" {
		t.Errorf("the host's file is %q, %v", got, err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside holds %v, %v", entries, err)
	}
	for range 2 { // an absent one is success
		if err := removeInside(root, "/etc/network/secret"); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(outside + "/secret"); err != nil {
		t.Errorf("removing reached the host: %v", err)
	}
}

func TestReadInside(t *testing.T) {
	root, outside := trap(t)
	if err := os.Symlink(outside+"/secret", root+"/etc/inittab"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(root+"/etc/group", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/etc/passwd", []byte("root:x:0:0::/root:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"/etc/passwd": "root:x:0:0::/root:/bin/sh\n", "/etc/inittab": "", "/etc/group": "", "/absent": "", "/etc/passwd/x": ""} {
		if got, err := readInside(root, name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestLookFindsInitInside(t *testing.T) {
	root, outside := trap(t)
	if look, err := (hostGuests{}).Look(root); err != nil || look.Init != "" {
		t.Fatalf("%+v, %v", look, err)
	}
	// A link to the host's init is none; the next candidate is.
	if err := os.Symlink(outside+"/secret", root+"/sbin/init"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/init", []byte("#!"), 0o755); err != nil {
		t.Fatal(err)
	}
	if look, err := (hostGuests{}).Look(root); err != nil || look.Init != "/init" {
		t.Fatalf("%+v, %v", look, err)
	}
	if err := os.Remove(root + "/sbin/init"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/init", root+"/sbin/init"); err != nil {
		t.Fatal(err)
	}
	if look, err := (hostGuests{}).Look(root); err != nil || look.Init != "/sbin/init" {
		t.Fatalf("%+v, %v", look, err)
	}
}

func TestRootFS(t *testing.T) {
	root, outside := trap(t)
	if err := os.Symlink(outside+"/secret", root+"/etc/link"); err != nil {
		t.Fatal(err)
	}
	fsys := rootFS(root)
	if _, err := fs.ReadFile(fsys, "etc/link"); err == nil {
		t.Error("a link led out")
	}
	if to, err := fsys.ReadLink("etc/link"); err != nil || to != outside+"/secret" {
		t.Errorf("ReadLink: %q, %v", to, err)
	}
	if info, err := fsys.Lstat("etc/link"); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("Lstat: %v, %v", info, err)
	}
	if _, err := fsys.Open("../outside/secret"); err == nil {
		t.Error("a path led out")
	}
	if entries, err := fs.ReadDir(fsys, "."); err != nil || len(entries) != 2 {
		t.Errorf("ReadDir: %v, %v", entries, err)
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
		a, err := userInside(root, who)
		if err != nil {
			t.Errorf("%q: %v", who, err)
			continue
		}
		if got := a.String(); got != want {
			t.Errorf("%q is %q, want %q", who, got, want)
		}
	}
	if _, err := userInside(root, "nobody-here"); err == nil || !strings.Contains(err.Error(), "nobody-here") {
		t.Errorf("an unknown user: %v", err)
	}
}
