package options

import (
	"crypto/rand"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/values"
	"croft/internal/vps"
)

// credentialOption is the option of create and run. That of set removes, too.
func credentialOption() cmdline.Option {
	return cmdline.Option{Name: "credential", Placeholder: "NAME=VALUE", Many: true,
		Usage: "secret for services inside; with @FILE as VALUE the content of a file, with @- standard input; may be repeated"}
}

func setCredentialOption() cmdline.Option {
	return cmdline.Option{Name: "credential", Placeholder: "NAME=VALUE|-NAME", Many: true, Dash: true,
		Usage: "set a secret for services inside, or remove it, at the next start; with @FILE as VALUE the content of a file, with @- standard input; may be repeated"}
}

// CredentialAbout is the help for verbs with these options.
const CredentialAbout = `--credential is for services that read a secret from a file: systemd's
LoadCredential=NAME and ImportCredential=NAME, or /run/host/credentials/NAME. croft
shows the name and not the value. Other users of the host see a VALUE on the command
line while croft runs; @FILE and @- hide it.`

// credentialFiles are the files that the option names.
func credentialFiles(i *command.Invocation) []string {
	var files []string
	for _, c := range command.GetMany(i, "credential", values.CredentialOrRemoval) {
		if file, ok := strings.CutPrefix(c.Value, "@"); ok {
			files = append(files, file)
		}
	}
	return files
}

// credentialEdits returns the edits that the option means. It reads files.
func credentialEdits(i *command.Invocation) ([]vps.Edit, error) {
	var edits []vps.Edit
	for _, c := range command.GetMany(i, "credential", values.CredentialOrRemoval) {
		if name, removes := strings.CutPrefix(c.Key, "-"); removes {
			edits = append(edits, vps.RemoveCredential{Name: name})
			continue
		}
		set, err := credential(i, c)
		if err != nil {
			return nil, err
		}
		edits = append(edits, set)
	}
	return edits, i.Err
}

// NewCredentials returns the credentials of a new VPS. It reads files.
func NewCredentials(i *command.Invocation) ([]vps.SetCredential, error) {
	var all []vps.SetCredential
	for _, c := range command.GetMany(i, "credential", values.Credential) {
		set, err := credential(i, c)
		if err != nil {
			return nil, err
		}
		all = append(all, set)
	}
	return all, i.Err
}

func credential(i *command.Invocation, c values.Pair) (vps.SetCredential, error) {
	value := []byte(c.Value)
	if file, ok := strings.CutPrefix(c.Value, "@"); ok {
		var err error
		if value, err = readInput(i, "--credential", file); err != nil {
			return vps.SetCredential{}, err
		}
	}
	return vps.SetCredential{Credential: vps.Credential{Name: c.Key, Version: rand.Text()}, Value: value}, nil
}
