package cli

import (
	"context"
	"slices"
	"strings"

	"croft/cli/roff"
)

func manVerb() *verb {
	return &verb{
		name: "man", group: groupShell, args: "[COMMAND...]", words: commandNames,
		summary:  "print a manual page in roff format",
		examples: []string{"croft man create >croft-create.8", "croft man template build >croft-template-build.8"},
		about: `Prints the page of COMMAND, or of croft itself. A page may also be named as man(1)
names it, for example croft-create.`,
		options: []option{{name: "list", usage: "print the names of all pages"}},
		run:     man,
	}
}

func man(_ context.Context, i *invocation) error {
	root := i.commands()
	if i.flags.Bool("list") {
		if err := i.none(); err != nil {
			return err
		}
		var names []string
		for _, path := range manPages(root) {
			names = append(names, pageName(path))
		}
		return i.print(strings.Join(names, "\n") + "\n")
	}
	words := i.words
	if len(words) == 1 && (words[0] == "croft" || strings.HasPrefix(words[0], "croft-")) {
		words = strings.Split(words[0], "-")[1:]
	}
	v, path := root, []string(nil)
	for _, word := range words {
		sub, more := v.find(word)
		if sub == nil {
			return usageError("no command %q", strings.Join(append(path, word), " "))
		}
		v, path = sub, append(path, more...)
	}
	return i.print(manPage(root, path))
}

// manPages are the paths of all commands that have a page of their own; the
// empty one is croft itself. The commands of croft oci are in one page.
func manPages(root *verb) [][]string {
	pages := [][]string{nil}
	for _, v := range root.verbs {
		pages = append(pages, []string{v.name})
		for _, sub := range v.verbs {
			if !sub.foreign {
				pages = append(pages, []string{v.name, sub.name})
			}
		}
	}
	return pages
}

// pageName is what man(1) calls the page of a command: croft-template-build.
func pageName(path []string) string { return strings.Join(append([]string{"croft"}, path...), "-") }

func pageRef(path []string) string { return pageName(path) + "(8)" }

// manPage is the page of the command at path, from what help says about it.
func manPage(root *verb, path []string) string {
	v := root
	for n, name := range path {
		if v = v.verb(name); v.foreign {
			path, v = path[:n], root.verb(path[0])
			break
		}
	}
	version := Version
	if version == "" {
		version = "devel"
	}
	page := roff.New(pageName(path), "8", "croft "+version)
	page.Name(pageName(path), v.summary)
	switch {
	case v == root:
		rootPage(page, root)
	case slices.ContainsFunc(v.verbs, func(sub *verb) bool { return sub.foreign }):
		ociPage(page, v)
	default:
		commandPage(page, root, v, path)
	}
	return page.String()
}

func rootPage(page *roff.Page, root *verb) {
	page.Section("SYNOPSIS")
	page.Synopsis("croft", "[OPTIONS] COMMAND [OPTIONS] [NAME...]")
	page.Section("DESCRIPTION")
	page.Paragraph(`A virtual private server (VPS) looks and behaves like a Linux machine of its own. croft creates VPSs from
		templates, runs them as containers, and has no daemon.`)
	for p := range paragraphs(grammarInBrief) {
		page.Paragraph(p.text)
	}
	page.Section("OPTIONS")
	page.Text("Every command takes these options.")
	manOptions(page, root.options)
	page.Section("COMMANDS")
	group := ""
	for _, v := range root.verbs {
		if v.group != group {
			group = v.group
			page.Subsection(group)
		}
		page.Item(pageRef([]string{v.name}), capital(v.summary)+".")
	}
	manEnd(page, ending{
		inside: true, files: manFiles(true), examples: strings.Split(examples, "\n"),
		also: []string{"mmdebstrap(1)", "systemd(1)", "nft(8)", "namespaces(7)", "cgroups(7)"},
	})
}

// commandPage is the page of a command, or of a family of them.
func commandPage(page *roff.Page, root, v *verb, path []string) {
	page.Section("SYNOPSIS")
	for _, sub := range v.verbs {
		page.Synopsis(usage(root, append(slices.Clone(path), sub.name)))
	}
	if len(v.verbs) == 0 {
		page.Synopsis(usage(root, path))
	}
	page.Section("DESCRIPTION")
	manAbout(page, v, path)
	if len(v.verbs) > 0 {
		page.Section("COMMANDS")
		for _, sub := range v.verbs {
			page.Item(pageRef(append(slices.Clone(path), sub.name)), capital(sub.summary)+".")
		}
	}
	page.Section("OPTIONS")
	manOptions(page, v.options)
	page.Paragraph("The options of every command are in croft(8).")
	_, creates := v.option("template")
	manEnd(page, ending{
		inside:      v.statusInside,
		environment: registryEnvironment(path),
		files:       manFiles(creates || path[0] == "template"),
		examples:    manExamples(v),
		also:        append([]string{"croft(8)"}, related(root, path)...),
	})
}

// ociPage is the page of croft as an OCI runtime, whose commands are those of
// another command line.
func ociPage(page *roff.Page, v *verb) {
	page.Section("SYNOPSIS")
	page.Synopsis("croft oci", "[OPTIONS] COMMAND [OPTIONS] [ARGUMENTS...]")
	page.Synopsis("croft-oci", "[OPTIONS] COMMAND [OPTIONS] [ARGUMENTS...]")
	page.Section("DESCRIPTION")
	page.Paragraph(ociAbout)
	page.Section("OPTIONS")
	page.Text("These options stand before COMMAND.")
	manOptions(page, ociOptions())
	page.Section("COMMANDS")
	for _, sub := range v.verbs {
		_, rest := usage(v, []string{sub.name})
		page.Subsection(strings.TrimSpace(sub.name + " " + rest))
		manAbout(page, sub, nil)
		manOptions(page, sub.options)
	}
	page.Section("EXIT STATUS")
	page.Text(`run, exec and restore in the foreground exit with the status of the process, or 128+n if signal n ended it. 255
		means that exec failed, 3 that the command does not exist, 1 any other failure.`)
	manItems(page, "ENVIRONMENT", [][2]string{
		{"XDG_RUNTIME_DIR", "For a user other than root, the default of --root is the directory croft-oci in it."},
	})
	manItems(page, "FILES", [][2]string{{"/run/croft-oci", "State of the containers (--root)."}})
	page.Section("EXAMPLES")
	page.Verbatim(strings.Join(manExamples(v), "\n"))
	page.Section("SEE ALSO")
	page.Text("croft(8), runc(8), criu(8)")
}

// An ending is what the last sections of a page say.
type ending struct {
	inside             bool        // the exit status can be that of a command inside
	environment, files [][2]string // besides what every command has
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
		{"CROFT_CGROUP_MANAGER", "Default of --cgroup-manager."},
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

func manOptions(page *roff.Page, options []option) {
	for _, o := range options {
		page.Item(o.typed(), capital(o.usage)+".")
	}
}

// manAbout writes what help says about a command.
func manAbout(page *roff.Page, v *verb, path []string) {
	page.Paragraph(capital(v.summary) + ".")
	if len(path) > 0 {
		if names := otherNames(v, path); len(names) > 0 {
			page.Paragraph("Aliases: " + strings.Join(names, ", ") + ".")
		}
	}
	for p := range paragraphs(v.about) {
		if p.verbatim {
			page.Verbatim(p.text)
			continue
		}
		page.Paragraph(p.text)
	}
}

// manExamples are those of a command, or of all in a family.
func manExamples(v *verb) []string {
	all := slices.Clone(v.examples)
	for _, sub := range v.verbs {
		for _, e := range sub.examples {
			if !slices.Contains(all, e) {
				all = append(all, e)
			}
		}
	}
	return all
}

// related are the pages of the family that a command is in, or of the commands
// under the same heading.
func related(root *verb, path []string) []string {
	var all []string
	if len(path) > 1 {
		all = append(all, pageRef(path[:1]))
		for _, sub := range root.verb(path[0]).verbs {
			all = append(all, pageRef([]string{path[0], sub.name}))
		}
	} else {
		group := root.verb(path[0]).group
		for _, v := range root.verbs {
			if v.group == group {
				all = append(all, pageRef([]string{v.name}))
			}
		}
	}
	return slices.DeleteFunc(all, func(ref string) bool { return ref == pageRef(path) })
}

// manFiles are the files of croft, with those of recipes if they are used.
func manFiles(recipes bool) [][2]string {
	files := [][2]string{
		{"/var/lib/croft", "VPSs, templates and networks (--root)."},
		{"/run/croft", "Runtime state, cleared at reboot (--run-dir)."},
	}
	if recipes {
		files = append(files, [2]string{"/etc/croft/recipes", "Recipes of the host, in addition to those in croft."})
	}
	return files
}

// registryEnvironment is what else the commands read that talk to a registry.
func registryEnvironment(path []string) [][2]string {
	if !slices.Equal(path, []string{"template", "pull"}) && !slices.Equal(path, []string{"template", "push"}) {
		return nil
	}
	return [][2]string{
		{"DOCKER_CONFIG", "Directory of docker's config.json with credentials (default: ~/.docker)."},
		{"REGISTRY_AUTH_FILE", "File with podman's credentials."},
		{"HTTPS_PROXY, NO_PROXY", "Proxy to use, and hosts to reach without it."},
	}
}

// examples are what a new user types first.
const examples = `croft create web --template debian-12 --memory 1G
croft start --wait web
croft exec web -- apt-get -y install nginx
croft publish web add 8080:80
tar -C site -c . | croft exec web -- tar -C /var/www/html -x
croft list --sort memory
croft run --rm --template busybox -- uname -a`
