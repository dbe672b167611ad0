package cli

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"croft/cli/command"
	"croft/cli/display"
	"croft/cli/look"
	"croft/runtime"
)

// onTerminalOf runs a command line on a terminal of so many columns, and
// returns the lines that it shows.
func onTerminalOf(t *testing.T, columns uint16, args ...string) []string {
	t.Helper()
	slave, master := pty(t)
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	a := &command.App{
		Stdio:   runtime.Stdio{In: slave, Out: slave, Err: slave},
		Connect: func(o runtime.Options) (command.Manager, error) { return newFake(o, func(string) string { return "" }) },
		Recipes: recipes(func(string) string { return "" }),
		Getenv:  func(string) string { return "" }, Now: time.Now,
	}
	shown := make(chan string)
	go func() {
		var all strings.Builder
		for part := make([]byte, 4096); ; {
			n, err := master.Read(part)
			if all.Write(part[:n]); err != nil || strings.HasSuffix(all.String(), "THE END\r\n") {
				shown <- all.String()
				return
			}
		}
	}()
	if status := execute(a, append([]string{"croft"}, args...)); status != 0 {
		t.Errorf("%q: status %d", args, status)
	}
	if _, err := slave.WriteString("THE END\n"); err != nil {
		t.Fatal(err)
	}
	text, _ := strings.CutSuffix(<-shown, "THE END\r\n")
	return strings.Split(strings.TrimSuffix(text, "\r\n"), "\r\n")
}

// On a terminal no line of a table is wider than the terminal, except with --wide.
func TestTablesFitTheTerminal(t *testing.T) {
	for _, line := range []string{
		"list", "list -c name,status,addresses,template,digest,created,started,macs,links,ports,ids,uuid", "status", "stats --interval 0", "top web",
		"template list", "template recipe", "network list", "firewall web list", "route web list", "publish web list", "host check",
	} {
		args := strings.Fields(line)
		fits, longest := true, 0
		for _, l := range onTerminalOf(t, 50, args...) {
			if warning := strings.HasPrefix(l, "croft: ") || strings.HasPrefix(l, "forwarding: "); !warning {
				fits = fits && display.Width(l) <= 50
				longest = max(longest, display.Width(l))
			}
		}
		if !fits {
			t.Errorf("%s has a line of %d columns on a terminal of 50", line, longest)
		}
		wide := strings.Join(onTerminalOf(t, 50, append(slices.Clone(args), "--wide")...), "\n")
		piped := croft(t, nil, args...)
		for l := range strings.Lines(piped.out) {
			if !strings.Contains(line, "list") && line != "status" {
				continue // the others change from one moment to the next
			}
			if !strings.Contains(wide, strings.TrimSuffix(l, "\n")) {
				t.Errorf("%s --wide does not show as in a pipe: %s", line, l)
			}
		}
	}
	if got := onTerminalOf(t, 40, "list", "-c", "name,addresses,digest")[4]; got != "web   10.1.2.3 (eth0) +2  0123456789ab" {
		t.Errorf("a shortened line: %q", got)
	}
}

// A template has the keys of JSON, with the same values.
func TestTemplatesHaveTheKeysOfJSON(t *testing.T) {
	f, err := display.ParseFormat("{{json .}}")
	if err != nil {
		t.Fatal(err)
	}
	fake := pretend(func(string) string { return "" })
	stats, _ := fake.Stats(t.Context(), nil, runtime.StatsOptions{OpenFiles: true})
	processes, _ := fake.Processes(t.Context(), "web")
	for _, object := range []any{
		fake.infos()[1], fake.infos()[2], image(), stats[0], processes[1], runtime.HostCheck{Name: "x"},
		runtime.NetworkInfo{Name: "n"}, runtime.TrashInfo{Name: "x"},
	} {
		text, err := f.Fill(object)
		if err != nil {
			t.Fatal(err)
		}
		want, err := display.JSON(object)
		if err != nil {
			t.Fatal(err)
		}
		got, has := decode(t, text), decode(t, want)
		if missing := missingFrom(got, has); missing != "" {
			t.Errorf("%T: the template's %s is not that of JSON:\n%s\n%s", object, missing, text, want)
		}
		if err := f.Check(reflect.TypeOf(object)); err != nil {
			t.Error(err)
		}
	}
}

func TestUptimeText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "", 0: "0s", 59 * time.Second: "59s", 90 * time.Second: "1m", 2*time.Hour + 5*time.Minute: "2h05m", 51 * time.Hour: "2d03h",
	} {
		if got := look.UptimeText(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestEndText(t *testing.T) {
	for want, e := range map[string]*runtime.End{
		"": nil, "powered off": {Reason: "halted"}, "rebooted": {Reason: "rebooted"}, "unknown": {Reason: "unknown"},
		"exited: status 3": {Reason: "exited", Status: 3}, "killed: signal 9": {Reason: "killed", Status: 137},
		"killed: out of memory": {Reason: "killed", Status: 137, OutOfMemory: true}, "failed to start: no init": {Reason: "failed", Detail: "no init"},
	} {
		if got := look.EndText(e); got != want {
			t.Errorf("%+v is %q, want %q", e, got, want)
		}
	}
}

func decode(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// missingFrom returns the path of a value of has that got lacks; "" if got has all
// values. A key that has lacks may be empty in got. null is the same as an empty
// list.
func missingFrom(got, has any) string {
	object, ok := has.(map[string]any)
	if !ok {
		list, isList := has.([]any)
		if gotList, ok := got.([]any); isList && ok && len(list) == len(gotList) {
			for n := range list {
				if path := missingFrom(gotList[n], list[n]); path != "" {
					return strconv.Itoa(n) + "." + path
				}
			}
			return ""
		}
		if empty, ok := got.([]any); has == nil && ok && len(empty) == 0 || reflect.DeepEqual(got, has) {
			return ""
		}
		return "value"
	}
	of, _ := got.(map[string]any)
	for key, v := range object {
		if path := missingFrom(of[key], v); path != "" {
			return key + "." + path
		}
	}
	return ""
}

// A value that the kernel does not count is not shown as 0. Every missing limit is
// shown as the same word.
func TestStatsOfWhatIsNotKnown(t *testing.T) {
	usual, err := look.ParseStatsColumns(look.UsualStatsColumns)
	if err != nil {
		t.Fatal(err)
	}
	row := look.StatsTable([]runtime.Stats{{Name: "web"}}, usual)
	want := "NAME  CPU  TIME     MEMORY  LIMIT      PIDS  READ  WRITTEN  RECEIVED  SENT  DROPPED\n" +
		"web   -    0:00.00  0B      unlimited  0     -     -        0B        0B    0\n"
	if got := row.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Any filter is accepted, or refused with one line.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{"status=running", "label=a=b", "ip=10.0.0.1", "name=web-*", "=", "name=["} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := look.ParseFilter(s); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", s, err)
		}
	})
}
