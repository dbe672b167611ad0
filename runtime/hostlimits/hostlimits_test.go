package hostlimits

import (
	"testing"
)

// A host as it is after its installation, with VPSs that use little, lacks nothing.
func stock() State {
	return State{
		Values: map[string]int64{
			InotifyInstances: 128, InotifyWatches: 192536, MaxKeys: 200, MaxKeyBytes: 20000, PIDMax: 32768, ThreadsMax: 192730,
			Conntrack: 262144, Terminals: 4096, AIO: 65536, OpenFiles: 9223372036854775807, Neighbours4: 1024, Neighbours6: 1024,
		},
		Used: map[string]int64{InotifyInstances: 30, MaxKeys: 20, MaxKeyBytes: 400, PIDMax: 500, ThreadsMax: 500, Conntrack: 90, Terminals: 1030, OpenFiles: 4000, Neighbours4: 20},
	}
}

func TestLacking(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(State)
		want   string // "" for none
		text   string
		raise  bool
	}{
		{"stock", func(State) {}, "", "", false},
		{"nothing is known", func(s State) { clear(s.Values) }, "", "", false},
		{"too low for one VPS", func(s State) { s.Values[InotifyInstances] = 20 }, "sysctl -w fs.inotify.max_user_instances=1024",
			"fs.inotify.max_user_instances is 20 (watching files: systemd, udev, D-Bus; for each VPS on its own)", true},
		{"no room for one more privileged systemd", func(s State) { s.Used[InotifyInstances] = 116 }, "sysctl -w fs.inotify.max_user_instances=1024",
			"116 of fs.inotify.max_user_instances=128 are in use (watching files: systemd, udev, D-Bus; for each VPS on its own)", true},
		{"raised before", func(s State) { s.Values[InotifyInstances], s.Used[InotifyInstances] = 1024, 1000 }, "sysctl -w fs.inotify.max_user_instances=2048",
			"1000 of fs.inotify.max_user_instances=1024 are in use (watching files: systemd, udev, D-Bus; for each VPS on its own)", true},
		{"keys", func(s State) { s.Used[MaxKeys] = 190 }, "sysctl -w kernel.keys.maxkeys=2000",
			"190 of kernel.keys.maxkeys=200 are in use (kernel keys of one user of a VPS: systemd takes one for each service)", true},
		{"connections", func(s State) { s.Used[Conntrack] = 250000 }, "sysctl -w net.netfilter.nf_conntrack_max=524288",
			"250000 of net.netfilter.nf_conntrack_max=262144 are in use (connections of the host and all VPSs in the table of the firewall)", false},
		{"processes", func(s State) { s.Used[PIDMax] = 32000 }, "sysctl -w kernel.pid_max=4194304",
			"32000 of kernel.pid_max=32768 are in use (processes of the host and all VPSs together)", false},
	} {
		s := stock()
		c.change(s)
		all := Lacking(s)
		switch {
		case c.want == "" && len(all) == 0:
		case len(all) != 1 || all[0].Remedy() != c.want || all[0].String() != c.text || all[0].Raise != c.raise:
			t.Errorf("%s: %v", c.name, all)
		}
	}
}

func TestReadUse(t *testing.T) {
	files := map[string]string{
		"/proc/loadavg": "0.10 0.20 0.30 2/345 6789\n",
		"/proc/sys/net/netfilter/nf_conntrack_count": "77\n",
		"/proc/sys/fs/aio-nr":                        "5\n",
		"/proc/sys/fs/file-nr":                       "1216\t0\t9223372036854775807\n",
		"/proc/sys/kernel/pty/nr":                    "3\n",
		"/proc/sys/kernel/pty/reserve":               "1024\n",
		"/proc/net/stat/arp_cache":                   "entries  allocs\n0000001f  00000004\n0000001f  00000001\n",
		"/proc/key-users":                            "    0:    15 14/14 900/1000000 78/25000000\n1310720:    16 16/16 16/200 302/20000\n1572864: 13 13/13 13/200 450/20000\ntorn\n",
	}
	s := State{Used: map[string]int64{}}
	s.readUse(func(file string) string { return files[file] })
	want := map[string]int64{PIDMax: 345, ThreadsMax: 345, Conntrack: 77, AIO: 5, OpenFiles: 1216, Terminals: 1027, Neighbours4: 31, MaxKeys: 16, MaxKeyBytes: 450}
	for key, n := range want {
		if s.Used[key] != n {
			t.Errorf("%s: %d, want %d", key, s.Used[key], n)
		}
	}
	if len(s.Used) != len(want) {
		t.Errorf("%v", s.Used)
	}
}

// Every limit of this kernel that is to be read is read.
func TestRead(t *testing.T) {
	s := Read(true)
	if s.Values[PIDMax] == 0 || s.Used[PIDMax] == 0 {
		t.Errorf("%+v", s)
	}
}
