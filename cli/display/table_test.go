package display

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files again")

func TestTable(t *testing.T) {
	got := Table{{"NAME", "WHAT", "LAST"}, {"wéb", "", "x"}, {"a-long-name", "two\nlines\x1b[0m", ""}}.String()
	want := "NAME         WHAT       LAST\nwéb          -          x\na-long-name  two lines  -\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := (Table{}).String(); got != "" {
		t.Errorf("an empty table is %q", got)
	}
	if got := (Table{{"NAME", "A B"}, {"x,\"y", ""}}).Csv(false); got != "name,a b\n\"x,\"\"y\",\n" {
		t.Errorf("as CSV it is %q", got)
	}
}

// tables are some as croft prints them.
func tables() map[string]struct {
	t     Table
	spare []string
} {
	digest := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	type one = struct {
		t     Table
		spare []string
	}
	return map[string]one{
		"list": {Table{
			{"NAME", "STATUS", "UPTIME", "ADDRESSES", "TEMPLATE"},
			{"web", "running", "12d04h", "10.90.0.2 (eth0), fd90:e703:b62c::2 (eth0), 192.0.2.7 (eth1), 2001:db8::7 (eth1)", "debian-12"},
			{"a-vps-with-a-name-of-many-words", "stopped", "", "10.90.0.3 (eth0)", "debian-12@" + digest},
			{"db", "stopped", "", "", "busybox"},
		}, nil},
		"templates": {Table{
			{"NAME", "DIGEST", "SIZE", "CREATED"},
			{"debian-12", digest, "300M", "2026-01-02 03:04:05 +0000"},
			{"debian-12@" + digest, digest, "300M", "2026-01-02 03:04:05 +0000"},
		}, nil},
		"stats": {Table{
			{"NAME", "CPU", "TIME", "MEMORY", "LIMIT", "PIDS", "READ", "WRITTEN", "RECEIVED", "SENT", "DROPPED"},
			{"web", "100.0%", "102:33:09", "1023M", "unlimited", "12345", "1023M", "-", "1023M", "1023M", "0"},
		}, []string{"DROPPED", "TIME", "PIDS"}},
		"top": {Table{
			{"PID", "HOST-PID", "USER", "STATE", "MEMORY", "TIME", "COMMAND"},
			{"1", "77", "root", "S", "12M", "0:07.25", "/sbin/init"},
			{"9", "79", "www-data", "R", "1.2M", "0:00.00", "/usr/bin/数据库 --config /etc/数据库/一二三四五六七八九十.conf --listen 10.90.0.2"},
		}, nil},
	}
}

// How tables look on terminals of some widths, and in a pipe.
func TestTableGolden(t *testing.T) {
	for name, c := range tables() {
		var all strings.Builder
		for _, columns := range []int{0, 120, 80, 40} {
			text := c.t.Text(Layout{Width: columns, Spare: c.spare})
			all.WriteString("-- " + strconv.Itoa(columns) + " columns --\n" + text)
			for line := range strings.Lines(text) {
				if n := Width(strings.TrimSuffix(line, "\n")); columns > 0 && n > columns {
					t.Errorf("%s: a line of %d columns on a terminal of %d: %s", name, n, columns, line)
				}
			}
		}
		file := filepath.Join("testdata/tables", name+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(all.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if all.String() != string(want) {
			t.Errorf("%s is\n%s\nand not\n%s", name, &all, want)
		}
	}
}
