package cli

import (
	"context"
	"embed"
	"fmt"
	"io"
	goruntime "runtime"
	"runtime/debug"
	"slices"
	"strings"

	"croft/runtime"
)

// Version is what "croft version" says. The build sets it (-ldflags -X).
var Version string

func versionVerb() *verb {
	return &verb{
		name: "version", group: groupShell,
		summary:  "print the version (also: croft --version)",
		examples: []string{"croft version"},
		options:  []option{jsonOption("print JSON")},
		run: func(_ context.Context, i *invocation) error {
			if err := i.none(); err != nil {
				return err
			}
			v := versionOf(debug.ReadBuildInfo())
			if i.flags.Bool("json") {
				return i.printJSON(v)
			}
			text := "croft " + v.Version
			if v.Revision != "" {
				text += " (" + v.Revision + ")"
			}
			return i.print(fmt.Sprintf("%s %s %s\n", text, v.Go, v.Platform))
		},
	}
}

// A version is what a build knows of itself.
type version struct {
	Version  string `json:"version"`
	Revision string `json:"revision"` // of the sources; "" if the build does not know
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func versionOf(info *debug.BuildInfo, ok bool) version {
	v := version{Version: Version, Go: goruntime.Version(), Platform: goruntime.GOOS + "/" + goruntime.GOARCH}
	if ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Revision = s.Value[:min(12, len(s.Value))]
			}
		}
	}
	if v.Version == "" {
		v.Version = "devel"
	}
	return v
}

//go:embed completion
var completionScripts embed.FS

func completionVerb() *verb {
	return &verb{
		name: "completion", group: groupShell, args: "bash|zsh|fish",
		summary:  "print the completion script for a shell",
		examples: []string{"croft completion bash"},
		about: `Load or install the script:

  bash:  source <(croft completion bash)
  zsh:   croft completion zsh > ~/.zfunc/_croft, with ~/.zfunc in fpath
  fish:  croft completion fish > ~/.config/fish/completions/croft.fish`,
		run: func(_ context.Context, i *invocation) error {
			shell, err := i.one("shell")
			if err != nil {
				return err
			}
			text, err := completionScripts.ReadFile("completion/croft." + shell)
			if err != nil || strings.Contains(shell, "/") {
				return usageError("completion: %q is no shell that croft knows: bash, zsh, fish", shell)
			}
			return i.print(string(text))
		},
	}
}

// complete prints what the last of words can become, a line each; the words
// before it are finished. It says nothing if it does not know: a completion
// must not disturb.
func (a *app) complete(root *verb, words []string) {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	for _, c := range a.candidates(root, words[:len(words)-1], last) {
		if strings.HasPrefix(c, last) {
			_, _ = io.WriteString(a.stdio.Out, c+"\n")
		}
	}
}

// candidates are all words that could stand after before, of which last is the
// beginning.
func (a *app) candidates(root *verb, before []string, last string) []string {
	if len(before) > 0 {
		// The value of an option is none of the arranged words yet.
		if o, ok := pending(root, before); ok {
			return a.values(o)
		}
	}
	l := newArranger(root, before)
	if err := l.read(); err != nil || slices.Contains(before, "--") {
		return nil
	}
	if name, _, ok := strings.Cut(last, "="); ok && strings.HasPrefix(last, "--") {
		return a.attached(l, name)
	}
	if strings.HasPrefix(last, "-") {
		return optionWords(l)
	}
	if l.verb.name == "policy" && len(l.words) > 0 {
		return [][]string{runtime.FirewallChains(), {"accept", "drop"}, nil}[min(len(l.words)-1, 2)]
	}
	if len(l.verb.verbs) > 0 {
		var names []string
		for _, v := range l.verb.verbs {
			names = append(names, v.name)
		}
		if l.verb.named && len(l.words) == 0 {
			names = append(names, a.named(l.verb.words)...)
		}
		return names
	}
	if one, more := strings.CutPrefix(l.verb.args, "NAME"); more && !strings.HasPrefix(one, "...") && len(l.words) > 0 {
		return nil
	}
	if l.verb.inside && len(l.words) >= l.verb.before {
		return nil
	}
	if l.verb.name == "completion" {
		return []string{"bash", "zsh", "fish"}
	}
	return slices.DeleteFunc(a.named(l.verb.words), func(name string) bool { return slices.Contains(l.words, name) })
}

// attached are the words --NAME=VALUE of an option whose "=" has been typed.
func (a *app) attached(l *arranger, name string) []string {
	o, _, ok := l.find(strings.TrimPrefix(name, "--"))
	if !ok || !o.takesValue() {
		return nil
	}
	var all []string
	for _, value := range a.values(o) {
		all = append(all, name+"="+value)
	}
	return all
}

// pending is the option that the last of words is, if the next one is its value.
func pending(root *verb, words []string) (option, bool) {
	word := words[len(words)-1]
	name := strings.TrimLeft(word, "-")
	if name == word || strings.Contains(name, "=") {
		return option{}, false
	}
	l := newArranger(root, words[:len(words)-1])
	if l.read() != nil {
		return option{}, false
	}
	o, _, ok := l.find(name)
	return o, ok && o.takesValue() && o.implied == ""
}

func optionWords(l *arranger) []string {
	var all []string
	options := slices.Clone(l.root.options)
	if l.verb != l.root {
		options = append(slices.Clone(l.verb.options), options...)
	}
	for _, o := range options {
		all = append(all, "--"+o.name)
		if o.implied != "" { // its value has to stand behind a "="
			for _, c := range o.choices {
				all = append(all, "--"+o.name+"="+c)
			}
		}
	}
	return all
}

func (a *app) values(o option) []string {
	if len(o.choices) > 0 {
		return o.choices
	}
	names := a.named(o.kind)
	switch o.kind {
	case networkNames:
		names = append(names, "none")
	case templateNames: // those that are built or made when they are asked for
		names = append(names, "busybox")
		names = append(names, a.named(recipeNames)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// named are the names of what there is of a kind; none if that cannot be found
// out, by one who is not root for example.
func (a *app) named(k kind) []string {
	var names []string
	switch k {
	case anything:
		return nil
	case recipeNames:
		recipes, _ := a.recipes.Recipes()
		for _, r := range recipes {
			names = append(names, r.Name)
		}
		return names
	}
	m, err := a.connect(runtime.Options{Root: a.getenv("CROFT_ROOT"), Run: a.getenv("CROFT_RUN_DIR"), Command: "croft completion"})
	if err != nil {
		return nil
	}
	ctx := context.Background()
	switch k {
	case vpsNames:
		names, _ = m.ResolveNames(true, nil)
	case templateNames:
		images, _ := m.Templates(ctx)
		for _, image := range images {
			if !image.Former {
				names = append(names, image.Name)
			}
		}
	case networkNames:
		networks, _ := m.Networks(ctx)
		for _, n := range networks {
			names = append(names, n.Name)
		}
	}
	return names
}
