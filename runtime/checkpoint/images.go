package checkpoint

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"croft/internal/fail"
)

// Pack writes the images in dir to w, as a tar archive. dir has no directories.
func (Criu) Pack(ctx context.Context, dir string, w io.Writer) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read images: %w", err)
	}
	out := tar.NewWriter(w)
	for _, e := range entries {
		err := ctx.Err()
		if err == nil {
			err = packOne(out, filepath.Join(dir, e.Name()))
		}
		if err != nil {
			return fmt.Errorf("send images: %w", err)
		}
	}
	return out.Close()
}

func packOne(out *tar.Writer, path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: filepath.Base(path), Size: info.Size(), Mode: 0o600}); err != nil {
		return err
	}
	_, err = io.CopyN(out, f, info.Size())
	return err
}

// Unpack reads the archive of Pack to its end. Its files go into dir, which is empty, and
// are durable then, with the modes that Restore needs.
func (Criu) Unpack(ctx context.Context, dir string, r io.Reader) error {
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && (h.Typeflag != tar.TypeReg || h.Name == "" || h.Name != filepath.Base(h.Name) || h.Name[0] == '.') {
			err = fail.New(fail.Usage, "%q is not an image of criu", h.Name)
		}
		if err == nil {
			err = unpackOne(filepath.Join(dir, h.Name), in)
		}
		if err != nil {
			return fmt.Errorf("receive images: %w", err)
		}
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return fmt.Errorf("receive images: %w", err)
	}
	return finish(dir)
}

func unpackOne(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
