package cli

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"al.essio.dev/pkg/shellescape"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/runtime"
)

// completed returns the words that completion offers, without the texts about them.
func completed(t *testing.T, typed string) []string {
	t.Helper()
	r := croft(t, nil, append([]string{completeCommand}, strings.Split(typed, " ")...)...)
	if r.status != 0 || r.err != "" {
		t.Errorf("%q: %+v", typed, r)
	}
	var words []string
	for line := range strings.Lines(r.out) {
		word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		words = append(words, word)
	}
	return words
}

// Of the fake's VPSs bad is broken, db stopped, and web running.
func TestComplete(t *testing.T) {
	for typed, want := range map[string]string{
		"st":                               "start stop status stats",
		"start ":                           "db",
		"stop ":                            "web",
		"stop --all=x w":                   "",
		"destroy ":                         "bad db web",
		"destroy web ":                     "bad db",
		"rm w":                             "web",
		"resume ":                          "",
		"start --wa":                       "--wait --wait=booted --wait=network",
		"stop --root /x w":                 "web",
		"stop -- w":                        "web",
		"wait --for ":                      "running stopped booted network reboot",
		"create --template ":               "busybox debian-12 fedora-43 mine",
		"create --template=deb":            "--template=debian-12",
		"create --network=":                "--network=default --network=none",
		"create --network d":               "default",
		"create --template=x --i":          "--ip --inodes --io-weight --io-read --io-write --id-size --insecure --if-missing",
		"start --wait=":                    "--wait=booted --wait=network",
		"--ro":                             "--root",
		"--cgroup-manager ":                "auto systemd cgroupfs",
		"--root ":                          cmdline.FilesWord,
		"ls --sort cre":                    "created",
		"kill -s RT":                       "RTMIN+3 RTMIN+4 RTMIN+5",
		"firewall policy web ":             "input output forward",
		"firewall policy web input ":       "accept drop",
		"firewall policy web input drop ":  "",
		"firewall web po":                  "policy",
		"create --template ./ro":           cmdline.FilesWord,
		"create --template=/tmp/":          cmdline.FilesWord,
		"template build ":                  "debian-12 fedora-43 mine",
		"template build --recipe=x":        cmdline.FilesWord,
		"template import x ":               cmdline.FilesWord,
		"template import x y ":             "",
		"template push debian-12 ":         "",
		"network inspect ":                 "default",
		"exec ":                            "web",
		"exec web ":                        "",
		"exec web --us":                    "--user",
		"exec web -- ":                     "",
		"exec web ls --us":                 "",
		"exec web -- ls --user ":           "",
		"run --na":                         "--name",
		"run ":                             "",
		"rename d":                         "db",
		"rename db ":                       "",
		"completion ":                      "bash zsh fish",
		"nix ":                             "",
		"start --nix d":                    "",
		"im":                               "import images",
		"att":                              "attach",
		"template l":                       "list ls",
		"help template pu":                 "pull push",
		"man tem":                          "template",
		"man template pu":                  "pull push",
		"list --columns na":                "name",
		"list --columns name,sta":          "name,status name,started",
		"list --columns=name,stat":         "--columns=name,status",
		"list -f stat":                     "status=",
		"list -f status=ru":                "status=running",
		"list -f label=":                   "label=tier",
		"list -f label=tier=":              "label=tier=back label=tier=front",
		"list --filter=template=":          "--filter=template=busybox --filter=template=debian-12",
		"set web --ip-del ":                "10.1.2.3 fd00::2 192.0.2.9",
		"set web --network-del ":           "default dmz",
		"set db --ip-del ":                 "",
		"publish remove web ":              "8080:80/tcp [::1]:53:53/udp",
		"publish web remove 8080:80/tcp [": "[::1]:53:53/udp",
		"firewall web remove ":             "allow deny 1 2",
		"firewall remove web 1 ":           "",
		"route remove web ":                "rule 192.0.2.0/24",
		"network set ":                     "default",
		"network set default --names ":     "yes no",
		"logs web -b ":                     "-1 0",
		"logs -b ":                         "0",
	} {
		if got := strings.Join(completed(t, typed), " "); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
	if all := completed(t, "list -f "); !slices.Contains(all, "name=") || !slices.Contains(all, "label=") {
		t.Errorf("filters: %q", all)
	}
	if all := completed(t, ""); slices.Contains(all, "images") || len(all) < 30 {
		t.Errorf("without a letter: %q", all)
	}
	for _, option := range completed(t, "create -") {
		if slices.Contains([]string{"", "-"}, strings.Trim(option, "-")) {
			t.Errorf("an option %q", option)
		}
	}
	if r := croft(t, map[string]string{"FAKE_REFUSE": "New: 7 croft needs root"}, completeCommand, "start", ""); r.status != 0 || r.out+r.err != "" {
		t.Errorf("without root: %+v", r)
	}
}

// Completion asks a Manager that changes nothing, for the root of the line. It
// offers a text about each word.
func TestCompletionLooksOnly(t *testing.T) {
	var asked []runtime.Options
	a := hinting(t)
	a.Connect = func(o runtime.Options) (command.Manager, error) {
		asked = append(asked, o)
		return pretend(func(string) string { return "" }), nil
	}
	got := cmdline.Complete(commands(a), []string{"--root", "/r", "stop", ""}, words(a))
	if !slices.Equal(got, []cmdline.Candidate{{Word: "web", About: "running, debian-12"}}) {
		t.Errorf("offered %q", got)
	}
	if len(asked) != 1 || !asked[0].ReadOnly || asked[0].Root != "/r" {
		t.Errorf("asked %+v", asked)
	}
}

// shellSees runs script in a shell, in which croft is the fake.
func shellSees(t *testing.T, shell string, args []string, script string) string {
	t.Helper()
	path, err := exec.LookPath(shell)
	if err != nil {
		t.Skipf("there is no %s here", shell)
	}
	cmd := exec.Command(path, append(args, script)...)
	cmd.Env = append(cmd.Environ(), "HOME="+t.TempDir(), "TERM=dumb")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || errs.Len() > 0 {
		t.Errorf("%s: %v: %s\n%s", shell, err, &errs, script)
	}
	return strings.TrimSpace(string(out))
}

// bash offers these words. After "=" or ":" it needs only the rest of a word.
var shellLines = []struct{ line, bash, others string }{
	{"croft star", "start", "start"},
	{"croft destroy ", "bad db web", "bad db web"},
	{"croft stop w", "web", "web"},
	{"croft start --wait=b", "booted", "--wait=booted"},
	{"croft create --template=deb", "debian-12", "--template=debian-12"},
	{"croft wait --for ru", "running", "running"},
	{"croft list -f status=ru", "running", "status=running"},
	{"croft list -f stat", "status=", "status="},
	{"croft publish remove web 8080:", "80/tcp", "8080:80/tcp"},
	{"croft exec web -- ", "", ""},
}

func TestCompletionInBash(t *testing.T) {
	script := croft(t, nil, "completion", "bash").out
	for _, c := range shellLines {
		word := c.line[strings.LastIndexAny(c.line, " =:")+1:]
		got := shellSees(t, "bash", []string{"--norc", "-uc"}, script+`
			COMP_LINE=`+shellescape.QuoteCommand([]string{c.line})+` COMP_POINT=${#COMP_LINE}
			_croft croft `+shellescape.QuoteCommand([]string{word})+` ""
			echo "${COMPREPLY[@]}"
			complete -p croft >/dev/null`)
		if got != c.bash {
			t.Errorf("%q: %q, want %q", c.line, got, c.bash)
		}
	}
}

func TestCompletionInFish(t *testing.T) {
	script := croft(t, nil, "completion", "fish").out
	for _, c := range shellLines {
		got := shellSees(t, "fish", []string{"-N", "-c"}, script+"\ncomplete -C "+shellescape.QuoteCommand([]string{c.line}))
		var words []string
		for line := range strings.Lines(got) {
			word, about, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			if words = append(words, word); word == "web" && about != "running, debian-12" {
				t.Errorf("web is described as %q", about)
			}
		}
		slices.Sort(words)
		if strings.Join(words, " ") != c.others {
			t.Errorf("%q: %q, want %q", c.line, words, c.others)
		}
	}
}

// In zsh the functions that show the words are stood in for.
func TestCompletionInZsh(t *testing.T) {
	script := croft(t, nil, "completion", "zsh").out
	for _, c := range shellLines {
		words := strings.Split(c.line, " ")
		got := shellSees(t, "zsh", []string{"-f", "-c"}, `
			compdef() {}
			compset() {}
			_files() { print :files }
			_describe() {
				[[ $1 == -t ]] && shift 2
				print -rl -- "${(@)${(P)2}}"
			}
			`+script+`
			words=(`+shellescape.QuoteCommand(words)+`) CURRENT=`+string(rune('0'+len(words)))+`
			_croft
			true`)
		var found []string
		for line := range strings.Lines(got) {
			word, about, _ := strings.Cut(strings.ReplaceAll(strings.TrimSpace(line), `\:`, "\x00"), ":")
			if found = append(found, strings.ReplaceAll(word, "\x00", ":")); word == "web" && about != "running, debian-12" {
				t.Errorf("web is described as %q", about)
			}
		}
		if strings.Join(found, " ") != c.others {
			t.Errorf("%q: %q, want %q", c.line, found, c.others)
		}
	}
}
