package cli

import (
	"context"
	"slices"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/cmdline/roff"
	"croft/cli/command"
)

func manVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "man", Group: command.GroupShell, Here: true, Args: "[COMMAND...]", Words: cmdline.Commands,
		Summary:  "print a manual page in roff format",
		Examples: []string{"croft man create >croft-create.8", "croft man template build >croft-template-build.8"},
		About: `Prints the page of COMMAND, or of croft itself. A page may also be named as man(1)
names it, for example croft-create.`,
		Options: []cmdline.Option{{Name: "list", Usage: "print the names of all pages"}},
		Run:     a.Run(man),
	}
}

func man(_ context.Context, i *command.Invocation) error {
	root := commands(i.App)
	if i.Is("list") {
		if err := i.None(); err != nil {
			return err
		}
		var names []string
		for _, path := range cmdline.Pages(root) {
			names = append(names, cmdline.PageName(root, path))
		}
		return i.Print(strings.Join(names, "\n") + "\n")
	}
	words := i.Words
	if len(words) == 1 && (words[0] == "croft" || strings.HasPrefix(words[0], "croft-")) {
		words = strings.Split(words[0], "-")[1:]
	}
	v, path := root, []string(nil)
	for _, word := range words {
		sub, more := v.Find(word)
		if sub == nil {
			return command.UsageError("no command %q", strings.Join(append(path, word), " "))
		}
		v, path = sub, append(path, more...)
	}
	return i.Print(manPage(root, path))
}

// manPage returns the page of the command at path, from the table.
func manPage(root *cmdline.Verb, path []string) string {
	v := root
	for n, name := range path {
		if v = v.Verb(name); v.Foreign {
			path, v = path[:n], root.Verb(path[0])
			break
		}
	}
	version := Version
	if version == "" {
		version = "devel"
	}
	page := roff.New(cmdline.PageName(root, path), "8", "croft "+version)
	page.Name(cmdline.PageName(root, path), v.Summary)
	switch {
	case v == root:
		rootPage(page, root)
	case slices.ContainsFunc(v.Verbs, func(sub *cmdline.Verb) bool { return sub.Foreign }):
		ociPage(page, v)
	default:
		commandPage(page, root, v, path)
	}
	return page.String()
}

func rootPage(page *roff.Page, root *cmdline.Verb) {
	page.Section("SYNOPSIS")
	page.Synopsis("croft", "[OPTIONS] COMMAND [OPTIONS] [NAME...]")
	page.Section("DESCRIPTION")
	page.Paragraph(`A virtual private server (VPS) looks and behaves like a Linux machine of its own. croft creates VPSs from
		templates, runs them as containers, and has no daemon.`)
	for p := range cmdline.Paragraphs(grammarInBrief) {
		page.Paragraph(p.Text)
	}
	page.Section("OPTIONS")
	page.Text("Every command takes these options.")
	cmdline.WriteOptions(page, root.Shown())
	page.Section("COMMANDS")
	group := ""
	for _, v := range root.Verbs {
		if v.Group != group {
			group = v.Group
			page.Subsection(group)
		}
		page.Item(cmdline.PageRef(root, []string{v.Name}), cmdline.Capital(v.Summary)+".")
	}
	manEnd(page, ending{
		inside: true, files: manFiles(true), examples: strings.Split(examples, "\n"),
		also: []string{"mmdebstrap(1)", "systemd(1)", "nft(8)", "namespaces(7)", "cgroups(7)"},
	})
}

// commandPage writes the page of the command at path, or of a family.
func commandPage(page *roff.Page, root, v *cmdline.Verb, path []string) {
	cmdline.WriteCommand(page, root, path)
	_, creates := v.Option("template")
	manEnd(page, ending{
		inside:      v.StatusInside,
		environment: environmentOf(path),
		files:       manFiles(creates || path[0] == "template"),
		examples:    v.AllExamples(),
		also:        append([]string{"croft(8)"}, cmdline.Related(root, path)...),
	})
}

// ociPage writes the page of croft as an OCI runtime, with all its commands.
func ociPage(page *roff.Page, v *cmdline.Verb) {
	page.Section("SYNOPSIS")
	page.Synopsis("croft oci", "[OPTIONS] COMMAND [OPTIONS] [ARGUMENTS...]")
	page.Synopsis("croft-oci", "[OPTIONS] COMMAND [OPTIONS] [ARGUMENTS...]")
	page.Section("DESCRIPTION")
	page.Paragraph(ociAbout)
	page.Section("OPTIONS")
	page.Text("These options stand before COMMAND.")
	cmdline.WriteOptions(page, ociOptions())
	page.Section("COMMANDS")
	for _, sub := range v.Verbs {
		_, rest := cmdline.Usage(v, []string{sub.Name})
		page.Subsection(strings.TrimSpace(sub.Name + " " + rest))
		cmdline.WriteAbout(page, nil, sub, nil)
		cmdline.WriteOptions(page, sub.Shown())
	}
	page.Section("EXIT STATUS")
	page.Text(`run, exec and restore in the foreground exit with the status of the process, or 128+n if signal n ended it. 255
		means that exec failed, 3 that the command does not exist, 1 any other failure.`)
	manItems(page, "ENVIRONMENT", [][2]string{
		{"XDG_RUNTIME_DIR", "For a user other than root, the default of --root is the directory croft-oci in it."},
	})
	manItems(page, "FILES", [][2]string{{"/run/croft-oci", "State of the containers (--root)."}})
	page.Section("EXAMPLES")
	page.Verbatim(strings.Join(v.AllExamples(), "\n"))
	page.Section("SEE ALSO")
	page.Text("croft(8), runc(8), criu(8)")
}

// An ending is the content of the last sections of a page.
type ending struct {
	inside             bool        // the exit status can be that of a command inside
	environment, files [][2]string // in addition to those of every command
	examples           []string
	also               []string
}

func manEnd(page *roff.Page, e ending) {
	manItems(page, "EXIT STATUS", exitStatuses)
	page.Paragraph("With several names the status is that of the first failure.")
	if e.inside {
		page.Paragraph(exitStatusInside)
	}
	manItems(page, "ENVIRONMENT", append([][2]string{
		{"CROFT_ROOT", "Default of --root."},
		{"CROFT_RUN_DIR", "Default of --run-dir."},
		{"CROFT_CONFIG_DIR", "Default of --config-dir."},
		{"CROFT_CGROUP_MANAGER", "Default of --cgroup-manager."},
		{"CROFT_HOST", "Default of --host."},
		{"CROFT_SSH", "The ssh that reaches other hosts, with options, as words for a shell (default: ssh)."},
	}, e.environment...))
	manItems(page, "FILES", e.files)
	page.Section("EXAMPLES")
	page.Verbatim(strings.Join(e.examples, "\n"))
	page.Section("SEE ALSO")
	page.Text(strings.Join(e.also, ", "))
}

func manItems(page *roff.Page, section string, items [][2]string) {
	page.Section(section)
	for _, item := range items {
		page.Item(item[0], item[1])
	}
}

// manFiles are the files of croft, with those of recipes if they are used.
func manFiles(recipes bool) [][2]string {
	files := [][2]string{
		{"/var/lib/croft", "VPSs, templates and networks (--root)."},
		{"/run/croft", "Runtime state, cleared at reboot (--run-dir)."},
	}
	if recipes {
		files = append(files, [2]string{"/etc/croft/recipes", "Recipes of the host, in addition to those in croft."},
			[2]string{"/etc/croft/policy.yaml", "Which images may enter the store."})
	}
	return files
}

// environmentOf is what else the command at path reads from its environment.
func environmentOf(path []string) [][2]string {
	switch strings.Join(path, " ") {
	case "destroy":
		return [][2]string{{"CROFT_TRASH", "Default of --keep."}}
	case "template build", "template create":
		return [][2]string{{"SOURCE_DATE_EPOCH", "Latest time of the files that are new in the template, and of its date, in seconds since 1970."}}
	}
	if !slices.Contains([]string{"template pull", "template push", "push", "create"}, strings.Join(path, " ")) {
		return nil
	}
	var all [][2]string
	if path[len(path)-1] == "push" {
		all = [][2]string{{"COSIGN_PASSWORD", "Password of the key of --sign-key."}}
	}
	return append(all, [][2]string{
		{"DOCKER_CONFIG", "Directory of docker's config.json with credentials (default: ~/.docker)."},
		{"REGISTRY_AUTH_FILE", "File with podman's credentials."},
		{"HTTPS_PROXY, NO_PROXY", "Proxy to use, and hosts to reach without it."},
	}...)
}

// examples are the first commands of a new user.
const examples = `croft create web --template debian-12 --memory 1G
croft start --wait web
croft exec web -- apt-get -y install nginx
croft publish web add 8080:80
tar -C site -c . | croft exec web -- tar -C /var/www/html -x
croft list --sort memory
croft run --rm --template busybox -- uname -a`
