package cli

import (
	"context"
	"fmt"
	"slices"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/values"
	"croft/internal/vps"
	"croft/runtime"
)

func rebaseVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "rebase", Group: command.GroupLife, Args: "NAME...", Words: command.VPSNames,
		Harmful:  true, // it starts and stops the VPS
		Summary:  "give stopped VPSs another template",
		Examples: []string{"croft rebase --dry-run web", "croft rebase web", "croft rebase web --template debian-13-web"},
		About: `The VPS keeps every file that it has added, changed or deleted; all other files are
those of the new template. Without --template that is the newest image of the name that its
template has. "croft list --filter outdated=true" lists VPSs for which there is one.

Then croft starts the VPS, waits until it has booted, and stops it. If it does not boot,
it gets back its former template and its files from before. Meanwhile there is a
snapshot named before-rebase-TIME: restore it if this command was killed.

A VPS that has installed or updated packages itself is refused, because its package
database would name other packages than the new template has. A VPS with plain storage has
no template below its files.

--dry-run prints how many paths of the template are different, which changed ones the VPS
keeps its own version of, and changed files of the package database.`,
		Options: append([]cmdline.Option{
			{Name: "template", Short: "t", Placeholder: "TEMPLATE", Usage: "the new template (default: the newest of the same name)", Kind: command.TemplateSources},
			{Name: "dry-run", Short: "n", Usage: "only print what would change"},
			{Name: "force", Short: "f", Usage: "also if the VPS has installed packages itself"},
			{Name: "no-trial", Usage: "do not start the VPS to see whether it boots"},
			{Name: "timeout", Placeholder: "TIME", Usage: "longest time for the boot (default: 90s)"},
		}, command.TableOptions("print the plans as a JSON array")...),
		Run: a.Run(rebaseVPSs),
	}
}

func rebaseVPSs(ctx context.Context, i *command.Invocation) error {
	o := runtime.RebaseOptions{
		Template: command.Get(i, "template", values.TemplateOrImage), DryRun: i.Is("dry-run"), Force: i.Is("force"), NoTrial: i.Is("no-trial"),
		Timeout: command.Get(i, "timeout", values.Timeout),
	}
	out := command.OutputOf[runtime.RebasePlan](i)
	var plans []runtime.RebasePlan
	t := display.Table{{"NAME", "WHAT", "PATH"}}
	failed := command.ForEach(ctx, i, "rebase", func(ctx context.Context, m command.Manager, name vps.Name) error {
		plan, err := m.Rebase(ctx, name, o)
		if err != nil {
			return err
		}
		switch {
		case plan.Same():
			i.Screen.Line(fmt.Sprintf("%s has this template already", name))
		case o.DryRun:
			i.Screen.Line(fmt.Sprintf("%s: %d paths of its template are different in the new one", name, plan.Changed))
		}
		plans = append(plans, plan)
		for _, path := range plan.Packages {
			t = append(t, []string{string(name), "package database", path})
		}
		for _, path := range plan.Kept {
			t = append(t, []string{string(name), "kept", path})
		}
		return nil
	})
	if !slices.ContainsFunc([]string{"dry-run", "json", "format", "no-header", "wide"}, i.Has) {
		return failed
	}
	if err := command.PrintAll(out, plans, t); err != nil {
		return err
	}
	return failed
}
