package main

import (
	"archive/tar"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"croft/integration/modules"
)

// debian is the release that root filesystems and CRIU are taken from.
const debian = "trixie"

// A busyboxEntry is a file of the small root filesystem.
type busyboxEntry struct {
	name string // "dir/" is a directory
	mode int64
	text string
	link string // a hard link to this
}

// busyboxEntries lay a busybox out as the image is that the tests were
// written with: no /proc and no /sys, and users of the usual names.
func busyboxEntries(applets []string) []busyboxEntry {
	entries := []busyboxEntry{
		{name: "bin/", mode: 0o755},
		{name: "etc/", mode: 0o755},
		{name: "home/", mode: 0o755},
		{name: "root/", mode: 0o700},
		{name: "tmp/", mode: 0o1777},
		{name: "usr/", mode: 0o755},
		{name: "usr/sbin/", mode: 0o755},
		{name: "var/", mode: 0o755},
		{name: "var/spool/", mode: 0o755},
		{name: "var/spool/mail/", mode: 0o755},
		{name: "etc/passwd", mode: 0o644, text: "root:x:0:0:root:/root:/bin/sh\n" +
			"daemon:x:1:1:daemon:/usr/sbin:/bin/false\n" +
			"bin:x:2:2:bin:/bin:/bin/false\n" +
			"mail:x:8:8:mail:/var/spool/mail:/bin/false\n" +
			"nobody:x:65534:65534:nobody:/home:/bin/false\n"},
		{name: "etc/group", mode: 0o644, text: "root:x:0:\ndaemon:x:1:\nbin:x:2:\ntty:x:5:\nmail:x:8:\n" +
			"users:x:100:\nnobody:x:65534:\n"},
		{name: "etc/shadow", mode: 0o640, text: "root:*:10933:0:99999:7:::\n"},
	}
	for _, a := range applets {
		if a != "busybox" {
			// Some unpackers give a link the mode that is written here.
			entries = append(entries, busyboxEntry{name: "bin/" + a, mode: 0o755, link: "bin/busybox"})
		}
	}
	return entries
}

// makeBusybox writes the small root filesystem as a tar archive.
func makeBusybox(busybox, archive string) error {
	list, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return fmt.Errorf("%s --list: %w", busybox, err)
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	f, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	w := tar.NewWriter(f)
	program0 := busyboxEntry{name: "bin/busybox", mode: 0o755, text: string(program)}
	entries := busyboxEntries(strings.Fields(string(list)))
	for _, e := range append(entries[:1:1], append([]busyboxEntry{program0}, entries[1:]...)...) {
		h := &tar.Header{Name: "./" + e.name, Mode: e.mode, Size: int64(len(e.text)), Typeflag: tar.TypeReg}
		if strings.HasSuffix(e.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if e.link != "" {
			h.Typeflag, h.Linkname = tar.TypeLink, "./"+e.link
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := w.Write([]byte(e.text)); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return f.Close()
}

// makeDebian writes a small Debian as a tar archive, without what nobody reads
// there: it is unpacked for each test that wants it.
func makeDebian(ctx context.Context, archive string) error {
	return mmdebstrap(ctx, "--variant=essential", "--format=tar",
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*", debian, archive)
}

// findCRIU returns the directory with a criu that works on this kernel, or ""
// if that is the one on PATH. Many releases carry one that is too old for the kernel
// that they run on: then it is Debian's, unpacked in dir, with its own libc.
func findCRIU(ctx context.Context, dir string) (string, error) {
	if _, err := criuCheck(ctx, "criu"); err == nil {
		return "", nil
	}
	root := filepath.Join(dir, "criu-"+debian)
	err := modules.Once(root, func(partial string) error {
		if err := mmdebstrap(ctx, "--variant=extract", "--format=directory", "--include=criu", debian, partial); err != nil {
			return err
		}
		return wrapCRIU(partial, root)
	})
	if err != nil {
		return "", fmt.Errorf("get criu: %w", err)
	}
	bin := filepath.Join(root, "bin")
	if out, err := criuCheck(ctx, filepath.Join(bin, "criu")); err != nil {
		return "", fmt.Errorf("criu check: %w\n%s", err, out)
	}
	return bin, nil
}

// criuCheck asks a criu what it can do on this kernel. It is configured to
// write a log on some hosts, into the directory that it runs in.
func criuCheck(ctx context.Context, criu string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "croft-conformance-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, criu, "check")
	cmd.Dir = dir
	return cmd.CombinedOutput()
}

// wrapCRIU makes bin/criu in dir, for when dir has become root: it runs the
// unpacked one by the unpacked dynamic linker.
func wrapCRIU(dir, root string) error {
	var linker, libraries string
	err := filepath.WalkDir(filepath.Join(dir, "usr"), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(d.Name(), "ld-linux") && linker == "":
			linker = path
		case d.Name() == "libc.so.6":
			libraries = filepath.Dir(path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if linker == "" || libraries == "" {
		return fmt.Errorf("%s has no libc", dir)
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		return err
	}
	script := fmt.Sprintf("#!/bin/sh\nexec %s --library-path %s %s \"$@\"\n",
		root+strings.TrimPrefix(linker, dir), root+strings.TrimPrefix(libraries, dir), root+"/usr/sbin/criu")
	return os.WriteFile(filepath.Join(dir, "bin/criu"), []byte(script), 0o755)
}

func mmdebstrap(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "mmdebstrap", append([]string{"--quiet"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mmdebstrap %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
