// Command sbom writes the list of what a built croft consists of, as an SPDX 2.3
// document: croft, the Go modules and the C libraries that are linked with it, and the
// programs that it embeds.
//
//	sbom -version VERSION -busybox PROGRAM -holder PROGRAM CROFT DOCUMENT
//
// The document depends on the programs and on the installed packages that they were
// built from. Its time is SOURCE_DATE_EPOCH, in seconds.
package main

import (
	"bytes"
	"debug/buildinfo"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"croft/template/busybox"

	"github.com/spdx/tools-golang/json"
)

func main() {
	version := flag.String("version", "", "the version of croft")
	busybox := flag.String("busybox", "", "the busybox that croft embeds")
	holder := flag.String("holder", "", "the holder that croft embeds")
	flag.Parse()
	if flag.NArg() != 2 || *version == "" || *busybox == "" || *holder == "" {
		fmt.Fprintln(os.Stderr, "usage: sbom -version VERSION -busybox PROGRAM -holder PROGRAM CROFT DOCUMENT")
		os.Exit(2)
	}
	b, err := read(flag.Arg(0), *holder, *busybox)
	if err == nil {
		b.version = *version
		err = write(flag.Arg(1), b)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// write creates or replaces the document about a build.
func write(path string, b build) error {
	var out bytes.Buffer
	if err := json.Write(document(b), &out, json.Indent("  "), json.EscapeHTML(false)); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

// read returns what is known about a croft and the programs that it embeds. It fails if
// croft does not embed them, and if a module has an unknown license.
func read(croft, holder, program string) (build, error) {
	b := build{name: filepath.Base(croft)}
	var err error
	if b.time, err = sourceDate(os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		return build{}, err
	}
	if b.program, err = os.ReadFile(croft); err != nil {
		return build{}, err
	}
	if b.holder, err = embedded(b.program, holder); err != nil {
		return build{}, err
	}
	if b.busybox, err = embedded(b.program, program); err != nil {
		return build{}, err
	}
	if b.busyboxVersion = busybox.Version(b.busybox); b.busyboxVersion == "" {
		return build{}, fmt.Errorf("cannot find the version of busybox in %s", program)
	}
	info, err := buildinfo.ReadFile(croft)
	if err != nil {
		return build{}, err
	}
	part, err := buildinfo.ReadFile(holder)
	if err != nil {
		return build{}, err
	}
	b.goVersion, b.settings = info.GoVersion, info.Settings
	if b.modules, err = modules(info.Deps, part.Deps); err != nil {
		return build{}, err
	}
	b.c, err = libraries()
	return b, err
}

// embedded returns the content of a file, and an error if a program does not embed it.
func embedded(program []byte, path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(program, content) {
		return nil, fmt.Errorf("cannot describe %s: this croft does not embed it (make croft)", path)
	}
	return content, nil
}

func sourceDate(seconds string) (time.Time, error) {
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, fmt.Errorf("invalid SOURCE_DATE_EPOCH %q (example: 1577836800)", seconds)
	}
	return time.Unix(n, 0).UTC(), nil
}
