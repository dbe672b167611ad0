package recipe

import (
	"bytes"
	"encoding/hex"
	"io"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"

	"croft/template/confine"
)

// isArmored reports whether text looks like an armored OpenPGP public key.
func isArmored(text string) bool {
	return strings.HasPrefix(strings.TrimSpace(text), "-----BEGIN PGP PUBLIC KEY BLOCK-----")
}

// keyFlaws returns the invalid values of r that say which keys sign the package archive.
func (r Recipe) keyFlaws() flaws {
	var f flaws
	if r.Mirror != "" && (!strings.Contains(r.Mirror, "://") || strings.ContainsAny(r.Mirror, " \t\n")) {
		f.add(path("mirror"), "mirror: invalid URL %q", r.Mirror)
	}
	if r.Key != "" && len(r.Keyring) > 0 {
		f.add(path("keyring"), "keyring: the recipe has a key too: use one of them")
	}
	if r.Key != "" {
		if _, err := openpgp.ReadArmoredKeyRing(strings.NewReader(r.Key)); err != nil {
			f.add(path("key"), "key: it is not an armored OpenPGP public key: %v", err)
		}
	}
	for i, file := range r.Keyring {
		if !isCleanPath(file) || !isWord(file[1:], "/._-+@") {
			f.add(path("keyring", i), "keyring: path %q is not absolute, or invalid", file)
		}
		if confine.Hides(file) {
			f.add(path("keyring", i), "keyring: a build does not see %s: use a file in /etc or /usr, or key", file)
		}
	}
	if r.KeyringPackage != "" && !isWord(r.KeyringPackage, "+.-_/") {
		f.add(path("keyring-package"), "keyring-package: invalid name %q", r.KeyringPackage)
	}
	return f
}

// needsKeys returns the flaw of a recipe that says nothing about the keys.
func (r Recipe) needsKeys() flaws {
	var f flaws
	if r.Key == "" && len(r.Keyring) == 0 {
		f.add(path("keyring"), "keyring: %s needs keyring, or key: the keys that sign its packages", r.Distribution)
	}
	return f
}

// armoredKeys returns the files with r's keys for tools that read armored ones, and adds
// those to files that the recipe has.
func (r Recipe) armoredKeys(files map[string]string) []string {
	if r.Key == "" {
		return r.Keyring
	}
	files["recipe.asc"] = r.Key
	return []string{"/tmp/croft/recipe.asc"}
}

// dearmored returns the binary form of a key that was checked.
func dearmored(key string) string {
	block, err := armor.Decode(strings.NewReader(key))
	if err != nil {
		return ""
	}
	binary, err := io.ReadAll(block.Body)
	if err != nil {
		return ""
	}
	return string(binary)
}

// fingerprints returns those of the primary keys in a text that was checked.
func fingerprints(key string) (all []string) {
	keys, _ := openpgp.ReadArmoredKeyRing(bytes.NewReader([]byte(key)))
	for _, k := range keys {
		all = append(all, strings.ToUpper(hex.EncodeToString(k.PrimaryKey.Fingerprint)))
	}
	return all
}
