package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/runtime/foreign"
)

// file is a file of an archive.
type file struct{ name, text string }

func archive(t testing.TB, files ...file) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(f.text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func put(t testing.TB, data []byte, elements ...string) string {
	t.Helper()
	name := filepath.Join(elements...)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// names are those of the files in the archive that s reads.
func names(t *testing.T, s *Source) string {
	t.Helper()
	var all []string
	in := tar.NewReader(s.Archive)
	for {
		h, err := in.Next()
		if err == io.EOF {
			return strings.Join(all, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h.Name)
	}
}

// An archive is recognized by its configuration, and can be read from its beginning
// afterwards, from a file and from a pipe.
func TestArchives(t *testing.T) {
	dir := t.TempDir()
	index := "name: shop\ntype: container\nconfig:\n  instance:\n    name: shop\n    config: {}\n"
	for _, c := range []struct {
		name, root string
		kind       foreign.Kind
		as         string
		files      []file
	}{
		{"vzdump-lxc-101-2026_01_05-10_00_00.tar", "", foreign.PCT, "101", []file{{"./etc/vzdump/pct.conf", "hostname: shop\n"}, {"./etc/passwd", ""}}},
		{"vzdump-openvz-7-2012.tar", "", foreign.OpenVZ, "7", []file{{"./bin/a", ""}, {"./etc/vzdump/vps.conf", "HOSTNAME=\"shop\"\n"}}},
		{"vzdump-7.tar", "", foreign.OpenVZ, "7", []file{{"etc/vzdump/vps.conf", "HOSTNAME=\"shop\"\n"}}},
		{"shop.tar", "backup/container/rootfs", foreign.Incus, "shop", []file{{"backup/index.yaml", index}, {"backup/container/rootfs/etc/a", ""}}},
		{"old.tar", "backup/container/rootfs", foreign.Incus, "shop", []file{{"backup/index.yaml", "name: shop\nbackend: dir\n"}, {"backup/container/backup.yaml", "container:\n  name: shop\n"}}},
		{"lxc.tar", "rootfs", foreign.LXC, "shop", []file{{"./config", "lxc.uts.name = shop\n"}, {"./rootfs/etc/a", ""}}},
		{"lxc2.tar", "shop/rootfs", foreign.LXC, "shop", []file{{"shop/rootfs/etc/a", ""}, {"etc/config", "other"}, {"shop/config", "lxc.arch = amd64\n"}}},
	} {
		data := archive(t, c.files...)
		for how, r := range map[string]Request{
			"file":   {Path: put(t, data, dir, c.name)},
			"gzip":   {Path: put(t, zipped(t, data), dir, "z", c.name)},
			"pipe":   {Path: "-", Stdin: bytes.NewReader(data)},
			"--from": {Path: put(t, data, dir, c.name), Kind: c.kind},
		} {
			s, err := Open(r)
			if err != nil {
				t.Errorf("%s, %s: %v", c.name, how, err)
				continue
			}
			if s.System.Kind != c.kind || s.Part.Root != c.root || r.Path != "-" && s.System.Name != c.as {
				t.Errorf("%s, %s: %s %q, files at %q", c.name, how, s.System.Kind, s.System.Name, s.Part.Root)
			}
			if got := names(t, s); len(strings.Fields(got)) != len(c.files) {
				t.Errorf("%s, %s: it reads %s", c.name, how, got)
			}
			s.Close()
		}
	}
}

func TestDirectories(t *testing.T) {
	dir := t.TempDir()
	config := put(t, []byte("lxc.arch = amd64\nlxc.rootfs.path = dir:/nowhere\n"), dir, "shop", "config")
	put(t, nil, dir, "shop", "rootfs", "etc", "passwd")
	pct := put(t, []byte("rootfs: local:1/a.raw\n"), dir, "101.conf")
	json := put(t, []byte(`{"Name": "/web", "State": {"Running": true, "Paused": true}}`), dir, "web.json")
	put(t, []byte("container:\n  name: inc\n"), dir, "inc", "backup.yaml")
	put(t, nil, dir, "inc", "rootfs", "etc", "passwd")
	rootfs := filepath.Join(dir, "shop", "rootfs")
	for what, c := range map[string]struct {
		r    Request
		kind foreign.Kind
		name string
	}{
		"LXC":           {Request{Path: filepath.Join(dir, "shop")}, foreign.LXC, "shop"},
		"its config":    {Request{Path: config, Kind: foreign.LXC, Rootfs: rootfs}, foreign.LXC, "shop"},
		"Incus":         {Request{Path: filepath.Join(dir, "inc")}, foreign.Incus, "inc"},
		"Proxmox":       {Request{Path: pct, Kind: foreign.PCT, Rootfs: rootfs}, foreign.PCT, "101"},
		"a machine":     {Request{Path: rootfs, Kind: foreign.Nspawn}, foreign.Nspawn, "rootfs"},
		"Docker":        {Request{Path: rootfs, Kind: foreign.Docker, Config: json}, foreign.Docker, "web"},
		"a vz's config": {Request{Path: put(t, []byte("VE_PRIVATE=\""+rootfs+"\"\n"), dir, "7.conf"), Kind: foreign.OpenVZ}, foreign.OpenVZ, "7"},
	} {
		s, err := Open(c.r)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if s.Dir == nil || s.System.Kind != c.kind || s.System.Name != c.name {
			t.Errorf("%s: %s %q, %v", what, s.System.Kind, s.System.Name, s.Dir)
		}
		s.Close()
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	rootfs := filepath.Dir(filepath.Dir(put(t, nil, dir, "rootfs", "etc", "passwd")))
	ploop := filepath.Dir(put(t, nil, dir, "ploop", "root.hdd"))
	plain := put(t, archive(t, file{"etc/passwd", ""}), dir, "plain.tar")
	pct := put(t, []byte("rootfs: local:1/a.raw\n"), dir, "101.conf")
	lxc := put(t, []byte("lxc.rootfs.path = /\n"), dir, "lxc.conf")
	running := put(t, []byte(`{"Name": "/web", "State": {"Running": true}}`), dir, "web.json")
	vz := put(t, []byte("HOSTNAME=\"a\"\n"), dir, "7.conf")
	for _, c := range []struct {
		r     Request
		kind  fail.Kind
		words string
	}{
		{Request{Path: filepath.Join(dir, "none")}, fail.NotFound, "no such file"},
		{Request{Path: rootfs}, fail.Usage, "--from"},
		{Request{Path: pct}, fail.Usage, "--from"},
		{Request{Path: pct, Kind: foreign.PCT}, fail.Usage, "vzdump"},
		{Request{Path: pct, Kind: foreign.PCT, Config: pct}, fail.Usage, "another one"},
		{Request{Path: pct, Kind: foreign.PCT, Rootfs: pct}, fail.Usage, "not a directory"},
		{Request{Path: rootfs, Kind: foreign.PCT}, fail.Usage, "--config"},
		{Request{Path: lxc, Kind: foreign.LXC}, fail.Usage, "this host"},
		{Request{Path: vz, Kind: foreign.OpenVZ}, fail.Usage, "--rootfs"},
		{Request{Path: vz, Kind: foreign.OpenVZ, Rootfs: ploop}, fail.Usage, "ploop"},
		{Request{Path: plain}, fail.Usage, "no configuration"},
		{Request{Path: plain, Kind: foreign.LXC}, fail.Usage, "no configuration of lxc"},
		{Request{Path: plain, Rootfs: rootfs}, fail.Usage, "--rootfs"},
		{Request{Path: plain, Config: pct}, fail.Usage, "--from"},
		{Request{Path: plain, Kind: foreign.Docker}, fail.Usage, "docker inspect"},
		{Request{Path: plain, Kind: foreign.Docker, Config: running}, fail.State, "stop it first"},
		{Request{Path: put(t, []byte("hsqs"+strings.Repeat("\x00", 600)), dir, "a.squashfs"), Kind: foreign.Incus}, fail.Usage, "squashfs"},
		{Request{Path: put(t, []byte("\x89LZO"+strings.Repeat("\x00", 600)), dir, "a.lzo"), Kind: foreign.PCT}, fail.Usage, "lzop"},
		{Request{Path: put(t, archive(t, file{"backup/container.bin", ""}), dir, "o.tar")}, fail.Usage, "optimized"},
		{Request{Path: put(t, archive(t, file{"backup/index.yaml", "type: virtual-machine\n"}), dir, "vm.tar")}, fail.Usage, "virtual machine"},
		{Request{Path: put(t, []byte("\x1f\x8bx"), dir, "bad.gz")}, fail.Usage, "damaged"},
		{Request{Path: "-", Stdin: strings.NewReader("")}, fail.Usage, "empty"},
		{Request{Path: "-"}, fail.Usage, "standard input"},
	} {
		s, err := Open(c.r)
		if err == nil {
			s.Close()
		}
		if !fail.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%+v: %v", c.r, err)
		}
	}
}

// A configuration far from the beginning of a pipe is not looked for without end.
func TestLateConfiguration(t *testing.T) {
	large := archive(t, file{"./bin/a", strings.Repeat("x", maxBefore)}, file{"./etc/vzdump/vps.conf", "HOSTNAME=\"a\"\n"})
	if _, err := Open(Request{Path: "-", Stdin: bytes.NewReader(large)}); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), "save it to a file") {
		t.Errorf("from a pipe: %v", err)
	}
	s, err := Open(Request{Path: put(t, large, t.TempDir(), "a.tar")})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

// No archive is a reason to crash.
func FuzzArchive(f *testing.F) {
	f.Add(archive(f, file{"etc/vzdump/pct.conf", "hostname: a\n"}))
	f.Add(zipped(f, archive(f, file{"backup/index.yaml", "config: {instance: {name: a}}"})))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := Open(Request{Path: "-", Stdin: bytes.NewReader(data)}); err == nil {
			s.Close()
		}
	})
}
