package signatures

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"croft/template/reference"

	"github.com/opencontainers/go-digest"

	"croft/internal/fail"
	"croft/template/trust"
)

// sign puts a signature of OpenPGP of the image with this digest into the directory of its signatures. Other
// signatures stay. No-op if the key has signed the same before.
func (l lookaside) sign(ctx context.Context, name *reference.Named, d digest.Digest, key trust.Key) error {
	base, err := l.base(name, place.writing)
	if err != nil {
		return err
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "file" {
		return fail.New(fail.State, "the signatures of %s are at %q, and croft writes only into directories (lookaside-staging: file:///DIR)", name.Name(), base).
			WithHint("man containers-registries.d")
	}
	made, err := key.SignOpenPGP(name, d)
	if err != nil {
		return err
	}
	for n := 1; n <= maxSignatures; n++ {
		at := numbered(*u, name, d, n)
		before, err := l.file(ctx, &at)
		switch {
		case err == nil && key.MadeOpenPGP(before, name, d):
			return nil
		case err == nil:
			continue
		case !fail.Is(err, fail.NotFound):
			return err
		}
		err = writeNew(at.Path, made)
		if !errors.Is(err, fs.ErrExist) { // another process may have taken the number
			return err
		}
	}
	return fail.New(fail.State, "the image has %d signatures", maxSignatures)
}

// writeNew creates a file that others can read. An existing one is fs.ErrExist. A killed process leaves none, or the
// whole file.
func writeNew(file string, text []byte) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fail.New(fail.Host, "write a signature: %w", err)
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return fail.New(fail.Host, "write a signature: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Link(f.Name(), file)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fail.New(fail.Host, "write a signature: %w", err)
	}
	return err
}
