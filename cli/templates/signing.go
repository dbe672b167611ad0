package templates

import (
	"fmt"
	"os"

	"golang.org/x/term"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/internal/fail"
	"croft/runtime"
)

// passwordVariable has the password of a key, as for cosign.
const passwordVariable = "COSIGN_PASSWORD"

// SignKeyOption is --sign-key for verbs that push.
func SignKeyOption() cmdline.Option {
	return cmdline.Option{Name: "sign-key", Placeholder: "FILE", Kind: cmdline.Files, Usage: "sign the image with the private key in FILE: one of cosign, another one in PEM, or one of OpenPGP"}
}

// SignKey reads the key of --sign-key, and its password from COSIGN_PASSWORD or the terminal; nil if
// the option is missing.
func SignKey(i *command.Invocation) *runtime.SigningKey {
	return command.Get(i, "sign-key", func(file string) (*runtime.SigningKey, error) {
		info, err := os.Stat(file)
		if err == nil && info.Size() > maxKey {
			err = fmt.Errorf("%s is larger than %d bytes", file, maxKey)
		}
		var text []byte
		if err == nil {
			text, err = os.ReadFile(file)
		}
		if err != nil {
			return nil, err
		}
		key, err := runtime.ReadSigningKey(text, func() ([]byte, error) { return keyPassword(i, file) })
		if err != nil {
			return nil, fail.New(fail.Usage, "read the key %s: %w", file, err)
		}
		return &key, nil
	})
}

// maxKey limits a file with a key, in bytes.
const maxKey = 1 << 20

// keyPassword returns the password of an encrypted key.
func keyPassword(i *command.Invocation, file string) ([]byte, error) {
	password := i.Getenv(passwordVariable)
	if password != "" || !term.IsTerminal(int(i.Stdio.In.Fd())) {
		return []byte(password), nil // a key can have an empty one
	}
	fmt.Fprintf(i.Stdio.Err, "Password of %s: ", file)
	text, err := term.ReadPassword(int(i.Stdio.In.Fd()))
	fmt.Fprintln(i.Stdio.Err)
	return text, err
}
