package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"croft/integration/modules"
)

// What engines of Kubernetes are asked with.
const (
	criModule  = "sigs.k8s.io/cri-tools"
	criVersion = "v1.34.0"
)

// engines lists our own tests of engines. They are in the directory
// engines of this package, and configure the engines by what the files of docs say.
func (b builder) engines(ctx context.Context, suite runcSuite) ([]file, error) {
	tools := filepath.Join(b.cache, "cri-tools-"+criVersion)
	err := modules.Once(tools, func(dir string) error {
		m, err := b.tool.Download(ctx, criModule, criVersion)
		if err != nil {
			return err
		}
		return b.tool.Install(ctx, m, dir, []string{"CGO_ENABLED=0"}, nil, "cmd/crictl")
	})
	if err != nil {
		return nil, err
	}
	image := filepath.Join(b.cache, "images.tar")
	if err := modules.Once(image, func(partial string) error { return makeImages(b.busybox, partial) }); err != nil {
		return nil, err
	}
	dir := filepath.Join(b.cache, "engines")
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := copyTree(filepath.Join(b.checkout, "integration/conformance/engines"), dir); err != nil {
		return nil, err
	}
	docs := filepath.Join(dir, "docs")
	if err := copyTree(filepath.Join(b.checkout, "docs"), docs); err != nil {
		return nil, err
	}
	digest, err := digestOf(image, filepath.Join(dir, "*.ba*"), filepath.Join(docs, "podman.md"), filepath.Join(docs, "kubernetes.md"))
	if err != nil {
		return nil, err
	}
	return batsFiles("engines", dir, tools+":"+suite.path, digest, func(c candidate) []string {
		return []string{"RUNTIME=" + c.path, "IMAGES=" + image, "DOCS=" + docs}
	})
}

// digestOf is a digest of the content of all files that match one of the patterns.
func digestOf(patterns ...string) (string, error) {
	sum := sha256.New()
	for _, pattern := range patterns {
		names, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		slices.Sort(names)
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(sum, "%s %d\n%s", filepath.Base(name), len(text), text)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:6]), nil
}

// The images' names: the documentation's, and that of one which sleeps, for
// pods' sandboxes.
const (
	busyboxName = "docker.io/library/busybox:latest"
	pauseName   = "docker.io/library/pause:latest"
)

// makeImages writes images of the small root filesystem, in a form that every
// engine loads: an archive of Docker's.
func makeImages(busybox, path string) error {
	layer := path + ".layer"
	if err := makeBusybox(busybox, layer); err != nil {
		return err
	}
	defer os.Remove(layer)
	files, err := os.ReadFile(layer)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(files)
	type member struct {
		name string
		text []byte
	}
	members := []member{{"layer.tar", files}}
	manifest := []map[string]any{}
	for name, command := range map[string][]string{busyboxName: {"sh"}, pauseName: {"sleep", "1000000"}} {
		config, err := json.Marshal(map[string]any{
			"architecture": runtime.GOARCH,
			"os":           "linux",
			"config": map[string]any{
				"Env": []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
				"Cmd": command,
			},
			"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
		})
		if err != nil {
			return err
		}
		file := command[0] + ".json"
		members = append(members, member{file, config})
		manifest = append(manifest, map[string]any{"Config": file, "RepoTags": []string{name}, "Layers": []string{"layer.tar"}})
	}
	list, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	members = append(members, member{"manifest.json", list})
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, m := range members {
		if err := w.WriteHeader(&tar.Header{Name: m.name, Mode: 0o644, Size: int64(len(m.text))}); err != nil {
			return err
		}
		if _, err := w.Write(m.text); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, archive.Bytes(), 0o644)
}
