// Package archive knows the archives of images and root filesystems that other tools write
// and read: OCI image layouts, those of docker save, images of Incus and LXD, and squashfs.
package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"path"
	"strings"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/template/facts"
	"croft/template/layer"
)

// A Content is the kind of files in an archive or a directory.
type Content int

const (
	RootFiles    Content = iota // a root filesystem
	OCILayout                   // an OCI image layout
	DockerImages                // what docker save writes
)

// KindOf returns the kind of files in t, by the names at its top. Since version 25
// docker save also writes an OCI layout, which croft prefers.
func KindOf(t *layer.Tree) Content {
	switch {
	case facts.IsRoot(t):
		return RootFiles // also if there are other files
	case t.Exists(oci.ImageLayoutFile) && t.Exists(oci.ImageIndexFile):
		return OCILayout
	case t.Exists(DockerManifest):
		return DockerImages
	}
	return RootFiles
}

// BeginsLikeImages reports whether a tar seems to contain images, by the name of its
// first file. An import detects a wrong guess after unpacking; it costs only the
// time for an unneeded layer.
func BeginsLikeImages(r *bufio.Reader) bool {
	blocks, _ := r.Peek(4 * layer.BlockSize) // an error means that the archive is shorter
	h, err := tar.NewReader(bytes.NewReader(blocks)).Next()
	if err != nil {
		return false
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(path.Clean("/"+h.Name), "/"), "/")
	switch first {
	case oci.ImageLayoutFile, oci.ImageIndexFile, oci.ImageBlobsDir, DockerManifest, "repositories":
		return true
	}
	hex := strings.TrimSuffix(strings.TrimSuffix(first, ".json"), ".tar")
	return len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}
