package options

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/settings"
	"croft/cli/values"
	"croft/internal/fail"
	"croft/runtime"
)

// Defaults of new VPSs: the file croft.yaml in the directory of the configuration,
// and the profiles below it.

// profile reads a profile. One that does not exist is fail.NotFound, and the error
// names those that exist.
func profile(i *command.Invocation, name string) (settings.File, error) {
	dir := filepath.Join(i.ConfigDir(), "profiles")
	path := filepath.Join(dir, name+".yaml")
	text, err := command.Trusted(path)
	if errors.Is(err, fs.ErrNotExist) {
		all := strings.Join(profiles(dir), ", ")
		return settings.File{}, fail.New(fail.NotFound, "no profile %q in %s (profiles: %s)", name, dir, cmp.Or(all, "none"))
	}
	if err != nil {
		return settings.File{}, err
	}
	return settings.Parse(path, text)
}

// profiles returns the names of the profiles in dir.
func profiles(dir string) []string {
	files, _ := filepath.Glob(filepath.Join(dir, "*.yaml")) // the pattern is valid
	for n, f := range files {
		files[n] = strings.TrimSuffix(filepath.Base(f), ".yaml")
	}
	return files
}

// profileName reads the name of a profile.
func profileName(s string) (string, error) {
	if strings.Trim(s, values.Letters+"0123456789._-") != "" || strings.HasPrefix(s, ".") {
		return "", fmt.Errorf("invalid profile %q: use a name, for example small", s)
	}
	return s, nil
}

func profileOption() cmdline.Option {
	return cmdline.Option{Name: "profile", Placeholder: "PROFILE", Many: true, Kind: command.ProfileNames,
		Usage: "take options from the file profiles/PROFILE.yaml in /etc/croft; may be repeated, the last one wins"}
}

// supplyDefaults supplies the options of a new VPS that were not typed, from the profiles
// that were typed, from more and from croft.yaml. An error is in i.Err.
func supplyDefaults(i *command.Invocation, more ...settings.File) {
	if i.Err != nil {
		return
	}
	config, err := i.Config()
	layers := append([]settings.File{config.Defaults}, more...)
	for _, name := range command.GetMany(i, "profile", profileName) {
		var f settings.File
		if err == nil {
			f, err = profile(i, name)
		}
		layers = append(layers, f)
	}
	if i.Err = cmp.Or(i.Err, err); i.Err != nil {
		return
	}
	for key, value := range settings.Layered(layers...) {
		if _, has := i.Verb.Option(key); has { // adopt takes no template
			supplyDefault(i, key, value)
		}
	}
}

// supplyDefault supplies one option. Pairs are added to those that were typed.
func supplyDefault(i *command.Invocation, key string, value settings.Value) {
	s, _ := settings.Find(key)
	words := value.Words
	switch {
	case !i.Typed(key):
	case s.Form != settings.Pairs:
		return
	default:
		typed := i.Texts(key)
		words = settings.MergePairs(words, typed)
		words = words[:len(words)-len(typed)]
	}
	if key == "protect" && i.Is("rm") {
		return // such a VPS is destroyed when its command ends
	}
	for _, w := range words {
		i.Supply(cmdline.Supplied{Name: key, Value: w, From: value.From + ": " + key})
	}
}

// tellTemplate says where the template of a new VPS comes from, if the user did not
// type it.
func tellTemplate(i *command.Invocation) {
	from := i.From("template")
	if i.Err == nil && !i.Typed("template") && from != "" {
		i.Screen.Line("template " + i.Text("template") + ", from " + strings.TrimSuffix(from, ": template"))
	}
}

// ProfileWords returns the profiles for completion.
func ProfileWords(o *command.Offers, c *cmdline.Completion) []cmdline.Candidate {
	dir := cmp.Or(o.ConfigDir(c), runtime.DefaultConfig)
	var all []cmdline.Candidate
	for _, name := range slices.Sorted(slices.Values(profiles(filepath.Join(dir, "profiles")))) {
		all = append(all, cmdline.Candidate{Word: name})
	}
	return all
}
