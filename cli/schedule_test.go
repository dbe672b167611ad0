package cli

import (
	"strings"
	"testing"

	"croft/cli/snapshots"
)

func TestSchedule(t *testing.T) {
	s := snapshots.Schedule{Croft: []string{"/opt/my croft/100%/croft", "--root", "/srv"}, Name: "web", Every: "hourly", Expire: "2d"}
	if got, want := s.Service(), `# /etc/systemd/system/croft-snapshots-web.service
[Unit]
Description=Snapshots of the VPS web

[Service]
Type=oneshot
ExecStart="/opt/my croft/100%%/croft" --root /srv snapshot prune web
ExecStart="/opt/my croft/100%%/croft" --root /srv snapshot create --expire 2d web
`; got != want {
		t.Errorf("the service is\n%s", got)
	}
	if got, want := s.Cron(), `# /etc/cron.d/croft-snapshots-web
10 * * * * root '/opt/my croft/100\%/croft' --root /srv snapshot prune web >/dev/null; '/opt/my croft/100\%/croft' --root /srv snapshot create --expire 2d web >/dev/null
`; got != want {
		t.Errorf("the cron file is\n%s", got)
	}
	if got := croft(t, nil, "snapshot", "schedule", "--all"); got.status != 0 || !strings.Contains(got.out, "OnCalendar=daily\n") ||
		!strings.Contains(got.out, "snapshot create --expire 7d --all\n") || !strings.Contains(got.out, "enable --now croft-snapshots.timer") {
		t.Errorf("%+v", got)
	}
	for _, line := range []string{"snapshot schedule", "snapshot schedule web db", "snapshot schedule web --all", "snapshot schedule web --every never", "snapshot schedule web --expire 0"} {
		if got := croft(t, nil, strings.Fields(line)...); got.status != 2 {
			t.Errorf("%s: %+v", line, got)
		}
	}
}
