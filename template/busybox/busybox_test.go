package busybox

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"croft/template/layer"
	"croft/template/roottest"
)

func TestBusyboxTar(t *testing.T) {
	program := []byte("\x7fELF… BusyBox v1.35.0 (Debian) …")
	applets := []string{"bin/sh", "bin/busybox", "sbin/init", "usr/bin/dpkg", "sbin/udhcpc", "linuxrc", "usr/sbin/chroot"}
	one, err := rootfsTar(program, applets)
	if err != nil {
		t.Fatal(err)
	}
	two, _ := rootfsTar(program, []string{"usr/sbin/chroot", "linuxrc", "sbin/udhcpc", "usr/bin/dpkg", "sbin/init", "bin/busybox", "bin/sh"})
	if !bytes.Equal(one, two) {
		t.Error("the order of the applets changes the archive")
	}
	if os.Geteuid() != 0 {
		return // what root owns cannot be unpacked
	}
	inside, _ := roottest.Jail(t)
	if _, err := layer.Unpack(context.Background(), inside, nil, bytes.NewReader(one), nil); err != nil {
		t.Fatal(err)
	}
	golden(t, "busybox.txt", roottest.List(t, inside))
}

func TestBusyboxVersion(t *testing.T) {
	for program, want := range map[string]string{"xxBusyBox v1.36.1 (Ubuntu": "1.36.1", "BusyBox v1": "", "": "", "BusyBox v" + strings.Repeat("9", 100) + " ": ""} {
		if got := Version([]byte(program)); got != want {
			t.Errorf("%q has version %q, want %q", program, got, want)
		}
	}
}

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with the file name of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}
