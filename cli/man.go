package cli

import (
	"context"
	"strings"
)

func manVerb() *verb {
	return &verb{
		name: "man", group: groupShell,
		summary:  "print the manual page in roff format",
		examples: []string{"croft man >croft.8"},
		run: func(_ context.Context, i *invocation) error {
			if err := i.none(); err != nil {
				return err
			}
			return i.print(manPage(i.commands()))
		},
	}
}

// manPage is croft(8), made of what help says: groff_man(7).
func manPage(root *verb) string {
	var out roff
	version := Version
	if version == "" {
		version = "devel"
	}
	out.macro("TH", "CROFT", "8", "", "croft "+version, "")
	out.macro("SH", "NAME")
	out.text("croft \\- " + escape(root.summary))
	out.macro("SH", "SYNOPSIS")
	out.macro("B", "croft")
	out.text(escape("[OPTIONS] COMMAND [OPTIONS] [NAME...]"))
	out.macro("SH", "DESCRIPTION")
	out.text(escape("A virtual private server (VPS) looks and behaves like a Linux machine of its own. croft makes VPSs of templates, " +
		"runs them as containers, and has no daemon. Options may stand before or after names."))
	out.macro("SH", "OPTIONS OF EVERY COMMAND")
	out.options(root.options)
	out.macro("SH", "COMMANDS")
	out.verbs(root, "croft")
	out.macro("SH", "EXIT STATUS")
	out.verbatim(exitStatuses)
	out.macro("SH", "ENVIRONMENT")
	for _, v := range [][2]string{
		{"CROFT_ROOT", "The directory of --root."},
		{"CROFT_RUN_DIR", "The directory of --run-dir."},
		{"CROFT_CGROUP_MANAGER", "The manager of --cgroup-manager."},
	} {
		out.macro("TP")
		out.macro("B", v[0])
		out.text(escape(v[1]))
	}
	out.macro("SH", "FILES")
	for _, f := range [][2]string{
		{"/var/lib/croft", "VPSs, templates and networks: what they should be (--root)."},
		{"/run/croft", "What runs, until the host reboots (--run-dir)."},
		{"/etc/croft/recipes", "Recipes of the host's own, beside those in croft."},
	} {
		out.macro("TP")
		out.macro("I", f[0])
		out.text(escape(f[1]))
	}
	out.macro("SH", "EXAMPLES")
	out.verbatim(examples)
	out.macro("SH", "SEE ALSO")
	out.text(escape("mmdebstrap(1), systemd(1), nft(8), namespaces(7), cgroups(7)"))
	return out.String()
}

// examples are what a new user types first.
const examples = `croft create web --template debian-12 --memory 1G
croft start --wait web
croft exec web -- apt-get -y install nginx
croft publish web add 8080:80
tar -C site -c . | croft exec web -- tar -C /var/www/html -x
croft list --sort memory
croft run --rm --template busybox -- uname -a`

// A roff is a page as it is written.
type roff struct{ strings.Builder }

// macro writes a line that begins with a macro. Its arguments are quoted.
func (r *roff) macro(name string, args ...string) {
	r.WriteString("." + name)
	for _, a := range args {
		r.WriteString(` "` + strings.ReplaceAll(escape(a), `"`, `\(dq`) + `"`)
	}
	r.WriteString("\n")
}

// text writes a line of what has been escaped.
func (r *roff) text(line string) { r.WriteString(guard(line) + "\n") }

// verbatim writes lines as they are.
func (r *roff) verbatim(text string) {
	r.macro("nf")
	for line := range strings.Lines(strings.Trim(text, "\n")) {
		r.text(escape(strings.TrimSuffix(line, "\n")))
	}
	r.macro("fi")
}

// verbs writes a section for each command of a family and of those in it.
func (r *roff) verbs(v *verb, path string) {
	for _, sub := range v.verbs {
		name := path + " " + sub.name
		if len(sub.verbs) > 0 {
			r.verbs(sub, name)
			continue
		}
		synopsis := name
		if len(sub.options) > 0 {
			synopsis += " [OPTIONS]"
		}
		r.macro("SS", strings.TrimSpace(synopsis+" "+sub.args))
		r.text(escape(capital(sub.summary) + "."))
		if sub.about != "" {
			r.macro("PP")
			r.verbatim(sub.about)
		}
		r.options(sub.options)
	}
}

func (r *roff) options(options []option) {
	for _, o := range options {
		r.macro("TP")
		r.macro("B", o.typed())
		r.text(escape(capital(o.usage) + "."))
	}
}

// escape has roff print text as it is: no escapes of its own, and a hyphen
// that can be pasted into a shell.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(text)
}

// guard keeps a line of text from being taken for a macro.
func guard(line string) string {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}
