package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"croft/cli/cmdline"
	"croft/cli/values"
	"croft/internal/vps"
)

// times are the choices of --every, with the time of day in crontab(5).
var times = map[string]string{"hourly": "10 * * * *", "daily": "10 3 * * *", "weekly": "10 3 * * 0", "monthly": "10 3 1 * *"}

func (a *app) snapshotScheduleVerb() *cmdline.Verb {
	return &cmdline.Verb{
		Name: "schedule", Args: "NAME | --all", Words: vpsNames,
		Summary: "print a systemd timer or a cron file that creates snapshots",
		Examples: []string{
			"croft snapshot schedule --all",
			"croft snapshot schedule web --expire 2d --format cron >/etc/cron.d/croft-web",
		},
		About: `Croft has no daemon. This prints files that let systemd or cron create snapshots and
delete those that have expired. It changes nothing: install the files as the comments
in them say.`,
		Options: []cmdline.Option{
			{Name: "every", Placeholder: "hourly|daily|weekly|monthly", Choices: []string{"hourly", "daily", "weekly", "monthly"}, Usage: "when to create one (default: daily)"},
			{Name: "expire", Placeholder: "TIME", Usage: "delete each after that time: 24h, 7d (default: 7d)"},
			{Name: "format", Placeholder: "service|timer|cron", Choices: []string{"service", "timer", "cron"}, Usage: "print one file: a unit of systemd, or one for /etc/cron.d (default: both units)"},
			{Name: "all", Short: "a", Usage: "create snapshots of every VPS"},
		},
		Run: a.run(snapshotSchedule),
	}
}

func snapshotSchedule(_ context.Context, i *invocation) error {
	s := schedule{every: get(i, "every", every), expire: "7d", all: i.Is("all")}
	if i.Has("expire") {
		if keep := get(i, "expire", values.Keep); keep == 0 && i.Err == nil {
			return usageError("--expire: invalid time 0 (for example 24h or 7d)")
		}
		s.expire = i.Text("expire")
	}
	format := get(i, "format", scheduleFormat)
	if i.Err != nil {
		return i.Err
	}
	if s.all != (len(i.Words) == 0) || len(i.Words) > 1 {
		return usageError("snapshot schedule takes a NAME or --all")
	}
	if !s.all {
		name, err := vps.ParseName(i.Words[0])
		if err != nil {
			return err
		}
		s.name = string(name)
	}
	var err error
	if s.croft, err = i.sameCroft(); err != nil {
		return err
	}
	switch format {
	case "service":
		return i.print(s.service())
	case "timer":
		return i.print(s.timer())
	case "cron":
		return i.print(s.cron())
	}
	return i.print(s.service() + "\n" + s.timer())
}

func every(text string) (string, error) {
	if times[text] == "" {
		return "", usageError("%q is none of hourly, daily, weekly and monthly", text)
	}
	return text, nil
}

func scheduleFormat(text string) (string, error) {
	switch text {
	case "service", "timer", "cron":
		return text, nil
	}
	return "", usageError("%q is none of service, timer and cron", text)
}

// sameCroft returns the words that run this program with the directories of this
// command.
func (i *invocation) sameCroft() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if path, err := filepath.EvalSymlinks(self); err == nil && filepath.IsAbs(path) {
		self = path
	}
	words := []string{self}
	for _, o := range []struct{ name, value string }{
		{"root", i.place.Root}, {"run-dir", i.place.Run}, {"config-dir", i.place.Config},
		{"cgroup-manager", i.Text("cgroup-manager")}, {"lock-timeout", i.Text("lock-timeout")},
	} {
		if o.value != "" {
			words = append(words, "--"+o.name, o.value)
		}
	}
	return words, nil
}

// A schedule says which snapshots are created when.
type schedule struct {
	croft         []string // the words before those of the command
	name          string
	all           bool
	every, expire string
}

// unit is the name of the files, without what follows the dot.
func (s schedule) unit() string {
	if s.all {
		return "croft-snapshots"
	}
	return "croft-snapshots-" + s.name
}

// commands returns the words of the two commands. The first one deletes, so that a
// snapshot that cannot be created keeps none from being deleted.
func (s schedule) commands() [2][]string {
	prune, create := []string{"snapshot", "prune"}, []string{"snapshot", "create", "--expire", s.expire}
	if s.all {
		create = append(create, "--all")
	} else {
		prune, create = append(prune, s.name), append(create, s.name)
	}
	begin := s.croft[:len(s.croft):len(s.croft)]
	return [2][]string{append(begin, prune...), append(begin, create...)}
}

func (s schedule) of() string {
	if s.all {
		return "all VPSs"
	}
	return "the VPS " + s.name
}

// service returns a unit as in systemd.service(5).
func (s schedule) service() string {
	text := "# /etc/systemd/system/" + s.unit() + ".service\n[Unit]\nDescription=Snapshots of " + s.of() + "\n\n[Service]\nType=oneshot\n"
	for _, words := range s.commands() {
		text += "ExecStart=" + unitLine(words) + "\n"
	}
	return text
}

// timer returns a unit as in systemd.timer(5).
func (s schedule) timer() string {
	return "# /etc/systemd/system/" + s.unit() + ".timer\n# systemctl daemon-reload; systemctl enable --now " + s.unit() + ".timer\n[Unit]\nDescription=Snapshots of " + s.of() +
		"\n\n[Timer]\nOnCalendar=" + s.timeOfDay() + "\nPersistent=yes\n\n[Install]\nWantedBy=timers.target\n"
}

func (s schedule) timeOfDay() string {
	if s.every == "" {
		return "daily"
	}
	return s.every
}

// cron returns a file for /etc/cron.d as in crontab(5). cron sends what is printed by mail: errors, and
// how long a VPS stood still.
func (s schedule) cron() string {
	var lines []string
	for _, words := range s.commands() {
		lines = append(lines, strings.ReplaceAll(shellescape.QuoteCommand(words), "%", `\%`)+" >/dev/null")
	}
	return "# /etc/cron.d/" + s.unit() + "\n" + times[s.timeOfDay()] + " root " + strings.Join(lines, "; ") + "\n"
}

// unitLine quotes words as systemd.service(5) says under "COMMAND LINES".
func unitLine(words []string) string {
	var all []string
	for _, w := range words {
		w = strings.NewReplacer("%", "%%", "$", "$$").Replace(w)
		if strings.ContainsAny(w, " \t\"'\\;") {
			w = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
		}
		all = append(all, w)
	}
	return strings.Join(all, " ")
}
