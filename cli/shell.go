package cli

import (
	"context"
	"embed"
	"fmt"
	goruntime "runtime"
	"runtime/debug"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
)

// Version is what "croft version" says. The build sets it (-ldflags -X).
var Version string

func versionVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "version", Group: command.GroupShell,
		Summary:  "print the version (also: croft --version)",
		Examples: []string{"croft version"},
		Options:  []cmdline.Option{command.JsonOption("print JSON")},
		Run: a.Run(func(_ context.Context, i *command.Invocation) error {
			if err := i.None(); err != nil {
				return err
			}
			v := versionOf(debug.ReadBuildInfo())
			if i.Is("json") {
				return i.PrintJSON(v)
			}
			return i.Print(v.String() + "\n")
		}),
	}
}

// A version describes this build.
type version struct {
	Version  string `json:"version"`
	Revision string `json:"revision"` // of the sources; "" if the build does not know
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// String returns the version as a line of text.
func (v version) String() string {
	text := "croft " + v.Version
	if v.Revision != "" {
		text += " (" + v.Revision + ")"
	}
	return fmt.Sprintf("%s %s %s", text, v.Go, v.Platform)
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

func completionVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "completion", Group: command.GroupShell, Here: true, Args: "bash|zsh|fish", Words: command.ShellNames,
		Summary:  "print the completion script for a shell",
		Examples: []string{"croft completion bash"},
		About: `Load or install the script:

  bash:  source <(croft completion bash)
  zsh:   croft completion zsh > ~/.zfunc/_croft, with ~/.zfunc in fpath
  fish:  croft completion fish > ~/.config/fish/completions/croft.fish`,
		Run: a.Run(func(_ context.Context, i *command.Invocation) error {
			shell, err := i.One("shell")
			if err != nil {
				return err
			}
			text, err := completionScripts.ReadFile("completion/croft." + shell)
			if err != nil || strings.Contains(shell, "/") {
				return command.UsageError("completion: unknown shell %q: use bash, zsh or fish", shell)
			}
			return i.Print(string(text))
		}),
	}
}
