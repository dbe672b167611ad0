package streams

import (
	"path/filepath"
	"testing"

	"croft/internal/fail"
)

// catalogue is a list of products with one image.
const catalogue = `{"format":"products:1.0","products":{"debian:13:amd64:default":{"aliases":"debian/13","arch":"amd64","os":"Debian","release":"trixie","variant":"default","versions":{"20260101_05:24":{"items":{
	"incus.tar.xz":{"ftype":"incus.tar.xz","path":"images/debian/incus.tar.xz","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1,"combined_squashfs_sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	"root.squashfs":{"ftype":"squashfs","path":"images/debian/root.squashfs","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":2}}}}}}}`

// isUsage fails the test if an error about foreign input is of another kind.
func isUsage(t *testing.T, err error) {
	t.Helper()
	if err != nil && fail.KindOf(err) != fail.Usage {
		t.Errorf("kind %v: %v", fail.KindOf(err), err)
	}
}

// A catalogue that is accepted has only files below the server's directory, with sizes
// and names.
func FuzzProducts(f *testing.F) {
	f.Add([]byte(catalogue))
	f.Add([]byte(`{"products":{"a":{"versions":{"1":{"items":{"x":{"path":"../x"}}}}}}}`))
	f.Add([]byte(`{"products":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := parseProducts(text)
		isUsage(t, err)
		for _, im := range all {
			for _, file := range []File{im.Meta, im.Root} {
				if !filepath.IsLocal(file.Path) || file.Size < 0 || file.Digest.Validate() != nil {
					t.Errorf("accepted %+v", file)
				}
			}
			im.Name()
		}
		Search(all, []string{"debian"}, "amd64")
		if _, err := Find(all, "debian/13", "amd64"); err != nil && fail.KindOf(err) == fail.Internal {
			t.Error(err)
		}
	})
}

// An index that is accepted has only paths below the server's directory.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"format":"index:1.0","index":{"images":{"datatype":"image-downloads","path":"streams/v1/images.json","products":["a"],"format":"products:1.0"}}}`))
	f.Add([]byte(`{"index":{"images":{"datatype":"image-downloads","path":"/etc/passwd"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		paths, err := parseIndex(text)
		isUsage(t, err)
		for _, p := range paths {
			if !filepath.IsLocal(p) {
				t.Errorf("accepted the path %q", p)
			}
		}
	})
}

// The files of an image's metadata are below its root directory, in it or absent.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte("creation_date: 1700000000\ntemplates:\n  /etc/hostname:\n    when: [create, copy]\n    template: hostname.tpl\n"), "{{ container.name }}")
	f.Add([]byte("templates:\n  /../../etc/x:\n    when: [create]\n    template: x\n    uid: \"0\"\n    gid: \"-1\"\n    mode: \"7777\"\n"), "text")
	f.Add([]byte("templates:\n  /:\n    when: [create]\n    template: x\n"), "text")
	f.Fuzz(func(t *testing.T, text []byte, content string) {
		m, err := ParseMetadata(text)
		isUsage(t, err)
		m.Created()
		texts := map[string]string{}
		for _, one := range m.Templates {
			texts[one.Template] = content
		}
		files, _, err := m.Files(texts)
		isUsage(t, err)
		for _, file := range files {
			if file.Path != "" && !filepath.IsLocal(file.Path) || file.UID < 0 || file.GID < 0 || file.Mode&^0o7777 != 0 {
				t.Errorf("accepted %+v", file)
			}
		}
	})
}

// Neither a key nor a signed document of others ends the program, and no key
// verifies a document that it has not signed.
func FuzzSigned(f *testing.F) {
	f.Add([]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEZQ==\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"),
		[]byte("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{}\n-----BEGIN PGP SIGNATURE-----\n\niHUE\n-----END PGP SIGNATURE-----\n"))
	f.Add([]byte{0x99, 0, 1, 4}, []byte{0x88, 0})
	f.Add([]byte("0"), []byte("-----BEGIN PGP SIGNED MESSAGE-----\n\n-----BEGIN PGP SIGNATURE-----"))
	f.Fuzz(func(t *testing.T, key, message []byte) {
		isUsage(t, CheckKeys(key))
		if text, err := (keyring{}).clearsigned(message); err == nil {
			t.Errorf("accepted without a key: %q", text)
		}
		if err := (keyring{}).detached([]byte("text"), message); err == nil {
			t.Error("accepted without a key")
		}
	})
}
