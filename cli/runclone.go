package cli

import (
	"slices"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/options"
	"croft/internal/vps"
	"croft/runtime"
)

// runClone reads --clone of run, with the options that change the settings of the
// clone; nil without it. An error is in i.Err.
func runClone(i *command.Invocation) *runtime.CloneOptions {
	if !i.Has("clone") {
		return nil
	}
	for _, o := range options.SettingOptions() {
		if i.Has(o.Name) && !changes(o) {
			i.NotBoth(o.Name, "clone")
		}
	}
	c := command.Get(i, "clone", cloneSource)
	c.Edits = options.SetEdits(i)
	return &c
}

// changes reports whether an option of a new VPS changes one that exists, too.
func changes(o cmdline.Option) bool {
	return slices.ContainsFunc(options.ChangeOptions(), func(c cmdline.Option) bool {
		return c.Name == o.Name && (c.Placeholder == "") == (o.Placeholder == "")
	})
}

// cloneInside adds what changes the files of the clone.
func cloneInside(i *command.Invocation, c *runtime.CloneOptions, what vps.Inside) error {
	edits, err := options.InsideEdits(i, what)
	c.Edits = append(c.Edits, edits...)
	return err
}

// readContents reads the files that options of a new VPS name.
func readContents(i *command.Invocation, o *runtime.CreateOptions) (err error) {
	if err = options.ReadInside(i, &o.Inside); err != nil {
		return err
	}
	if o.Credentials, err = options.NewCredentials(i); err != nil {
		return err
	}
	o.FirstBoot, err = options.ReadFirstBoot(i)
	return err
}
