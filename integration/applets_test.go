//go:build integration

package integration

import (
	"strings"
	"testing"
)

// Each network program of the busybox template works, by address and by name.
func TestBusyboxNetworkPrograms(t *testing.T) {
	hostAsBefore(t)
	server := boot(t, "busybox")
	client := boot(t, "busybox")
	sh(t, server, `mkdir /srv/www && echo served >/srv/www/file
		httpd -p 80 -h /srv/www
		echo 'exec cat' >/srv/echo
		nc -ll -p 7 -e /bin/sh /srv/echo >/dev/null 2>&1 </dev/null &`)
	at := address(t, server, 0)
	for _, to := range []string{at, server, server + ".croft"} {
		for what, c := range map[string]struct{ script, want string }{
			"wget":       {"wget -q -O - http://SERVER/file", "served"},
			"wget -T":    {"wget -T 5 -q -O - http://SERVER/file", "served"},
			"ping":       {"ping -c 1 -W 5 SERVER | grep -c '1 packets received'", "1"},
			"nc":         {"echo said | nc -w 5 SERVER 7", "said"},
			"traceroute": {"traceroute -n -q 1 -w 5 -m 3 SERVER 2>&1 | tail -n 1 | grep -c ' ms'", "1"},
		} {
			eventually(t, what+" "+to, func() bool {
				r := try("exec", client, "--", "sh", "-c", strings.ReplaceAll(c.script, "SERVER", to))
				if r.status >= 128 {
					t.Fatalf("%s %s: %s", what, to, r)
				}
				return strings.TrimSpace(r.out) == c.want
			})
		}
	}
	// What fails says so, and does not crash.
	for _, script := range []string{
		"wget -q -O - http://missing.invalid/", "ping -c 1 missing.invalid", "nc missing.invalid 1", "telnet missing.invalid 1",
		"ftpget missing.invalid a b", "traceroute missing.invalid", "nslookup missing.invalid 127.0.0.1", "wget -q -O - http://127.0.0.1:1/", "hostname -f",
		"telnet " + server + " 7 </dev/null", "ftpget " + server + " a b",
	} {
		if r := try("exec", client, "--", "sh", "-c", script+" 2>&1"); r.status >= 128 {
			t.Errorf("%s: %s", script, r)
		}
	}
	destroy(t, client)
	destroy(t, server)
}
