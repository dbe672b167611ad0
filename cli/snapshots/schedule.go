package snapshots

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/values"
	"croft/internal/vps"
)

// times are the choices of --every, with the time of day in crontab(5).
var times = map[string]string{"hourly": "10 * * * *", "daily": "10 3 * * *", "weekly": "10 3 * * 0", "monthly": "10 3 1 * *"}

func snapshotScheduleVerb(a *command.App) *cmdline.Verb {
	return &cmdline.Verb{
		Name: "schedule", Args: "NAME | --all", Words: command.VPSNames,
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
		Run: a.Run(snapshotSchedule),
	}
}

func snapshotSchedule(_ context.Context, i *command.Invocation) error {
	s := Schedule{Every: command.Get(i, "every", every), Expire: "7d", all: i.Is("all")}
	if i.Has("expire") {
		if keep := command.Get(i, "expire", values.Keep); keep == 0 && i.Err == nil {
			return command.UsageError("--expire: invalid time 0 (for example 24h or 7d)")
		}
		s.Expire = i.Text("expire")
	}
	format := command.Get(i, "format", scheduleFormat)
	if i.Err != nil {
		return i.Err
	}
	if s.all != (len(i.Words) == 0) || len(i.Words) > 1 {
		return command.UsageError("snapshot schedule takes a NAME or --all")
	}
	if !s.all {
		name, err := vps.ParseName(i.Words[0])
		if err != nil {
			return err
		}
		s.Name = string(name)
	}
	var err error
	if s.Croft, err = sameCroft(i); err != nil {
		return err
	}
	switch format {
	case "service":
		return i.Print(s.Service())
	case "timer":
		return i.Print(s.timer())
	case "cron":
		return i.Print(s.Cron())
	}
	return i.Print(s.Service() + "\n" + s.timer())
}

func every(text string) (string, error) {
	if times[text] == "" {
		return "", command.UsageError("%q is none of hourly, daily, weekly and monthly", text)
	}
	return text, nil
}

func scheduleFormat(text string) (string, error) {
	switch text {
	case "service", "timer", "cron":
		return text, nil
	}
	return "", command.UsageError("%q is none of service, timer and cron", text)
}

// sameCroft returns the words that run this program with the directories of this
// command.
func sameCroft(i *command.Invocation) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if path, err := filepath.EvalSymlinks(self); err == nil && filepath.IsAbs(path) {
		self = path
	}
	words := []string{self}
	for _, o := range []struct{ name, value string }{
		{"root", i.Place.Root}, {"run-dir", i.Place.Run}, {"config-dir", i.Place.Config},
		{"cgroup-manager", i.Text("cgroup-manager")}, {"lock-timeout", i.Text("lock-timeout")},
	} {
		if o.value != "" {
			words = append(words, "--"+o.name, o.value)
		}
	}
	return words, nil
}

// A Schedule says which snapshots are created when.
type Schedule struct {
	Croft         []string // the words before those of the command
	Name          string
	all           bool
	Every, Expire string
}

// unit is the name of the files, without what follows the dot.
func (s Schedule) unit() string {
	if s.all {
		return "croft-snapshots"
	}
	return "croft-snapshots-" + s.Name
}

// commands returns the words of the two commands. The first one deletes, so that a
// snapshot that cannot be created keeps none from being deleted.
func (s Schedule) commands() [2][]string {
	prune, create := []string{"snapshot", "prune"}, []string{"snapshot", "create", "--expire", s.Expire}
	if s.all {
		create = append(create, "--all")
	} else {
		prune, create = append(prune, s.Name), append(create, s.Name)
	}
	begin := s.Croft[:len(s.Croft):len(s.Croft)]
	return [2][]string{append(begin, prune...), append(begin, create...)}
}

func (s Schedule) of() string {
	if s.all {
		return "all VPSs"
	}
	return "the VPS " + s.Name
}

// Service returns a unit as in systemd.service(5).
func (s Schedule) Service() string {
	text := "# /etc/systemd/system/" + s.unit() + ".service\n[Unit]\nDescription=Snapshots of " + s.of() + "\n\n[Service]\nType=oneshot\n"
	for _, words := range s.commands() {
		text += "ExecStart=" + unitLine(words) + "\n"
	}
	return text
}

// timer returns a unit as in systemd.timer(5).
func (s Schedule) timer() string {
	return "# /etc/systemd/system/" + s.unit() + ".timer\n# systemctl daemon-reload; systemctl enable --now " + s.unit() + ".timer\n[Unit]\nDescription=Snapshots of " + s.of() +
		"\n\n[Timer]\nOnCalendar=" + s.timeOfDay() + "\nPersistent=yes\n\n[Install]\nWantedBy=timers.target\n"
}

func (s Schedule) timeOfDay() string {
	if s.Every == "" {
		return "daily"
	}
	return s.Every
}

// Cron returns a file for /etc/cron.d as in crontab(5). cron sends what is printed by mail: errors, and
// how long a VPS stood still.
func (s Schedule) Cron() string {
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
