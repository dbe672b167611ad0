package values

import (
	"strings"
	"testing"

	"github.com/go-crypt/crypt/algorithm/shacrypt"

	"github.com/go-crypt/crypt/algorithm"
)

func TestPassword(t *testing.T) {
	for _, text := range []string{"secret\n", "secret", "secret\r\n"} {
		hash, err := Password([]byte(text))
		if err != nil || !strings.HasPrefix(hash, "$6$rounds=100000$") || strings.ContainsAny(hash, ":\n") {
			t.Errorf("%q: %q, %v", text, hash, err)
		}
		if again, _ := Password([]byte(text)); again == hash {
			t.Errorf("the same salt twice: %s", hash)
		}
		if !matches(t, hash, "secret") || matches(t, hash, "Secret") {
			t.Errorf("%q: %s does not match", text, hash)
		}
	}
	if hash, err := Password([]byte("a:b ü$ \n")); err != nil || !matches(t, hash, "a:b ü$ ") {
		t.Errorf("%s, %v", hash, err)
	}
	for text, want := range map[string]string{
		"": "empty", "\n": "empty", "a\nb": "more than one line", "a\n\n": "more than one line", "a\tb": "control character",
		"a\x00b": "control character", strings.Repeat("x", 513): "more than 512 bytes",
	} {
		if _, err := Password([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, not %q", text, err, want)
		}
	}
}

func matches(t *testing.T, hash, password string) bool {
	t.Helper()
	var digest algorithm.Digest
	digest, err := shacrypt.Decode(hash)
	if err != nil {
		t.Fatal(err)
	}
	return digest.Match(password)
}

func TestLogin(t *testing.T) {
	a, err := Login("deploy:sudo,adm")
	if err != nil || a.User != "deploy" || strings.Join(a.Groups, " ") != "sudo adm" {
		t.Errorf("%+v, %v", a, err)
	}
	for _, text := range []string{":sudo", "deploy:", "deploy:a,,b", "-x", "Ann", "a/b", "../x", strings.Repeat("a", 33)} {
		if a, err := Login(text); err == nil {
			t.Errorf("%q: %+v", text, a)
		}
	}
}
