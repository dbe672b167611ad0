package checkpoint

import (
	"reflect"
	"strings"
	"testing"

	"croft/internal/fail"
	"croft/internal/state"
)

const usual = `97 72 0:39 / / rw,nodev,relatime shared:1 - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w
99 97 0:48 / /proc rw,nosuid shared:2 - proc proc rw
100 97 0:49 / /dev rw,nosuid shared:3 - tmpfs tmpfs rw
101 100 0:50 / /dev/pts rw,nosuid shared:4 - devpts devpts rw
73 100 0:50 /0 /dev/console rw,nosuid shared:4 - devpts devpts rw
108 107 0:38 /croft/web /sys/fs/cgroup rw shared:11 - cgroup2 cgroup rw
109 104 0:42 /notify /run/host/notify rw shared:23 - tmpfs croft rw,size=0k
121 100 0:55 /0-null /dev/null rw shared:12 - tmpfs croft-dev rw,size=0k
74 99 0:42 /boot_id /proc/sys/kernel/random/boot_id rw shared:20 - tmpfs croft rw
75 97 0:42 /boot_id /proc/sys/kernel/random/boot_id rw shared:20 - tmpfs croft rw
116 99 0:56 /meminfo /proc/meminfo ro shared:21 - fuse.croft croft rw
130 97 8:1 /vps/web/fs/upper/var/lib/docker /var/lib/docker rw shared:30 - ext4 /dev/vda rw
`

func TestGiven(t *testing.T) {
	mounts, err := ParseMounts(usual)
	if err != nil {
		t.Fatal(err)
	}
	given, err := Given(mounts, []string{"/var/lib/docker"})
	want := []state.GivenMount{
		{At: "/run/host/notify", From: FromGiven, Root: "/notify"},
		{At: "/dev/null", From: FromDevices, Root: "/0-null"},
		{At: "/proc/sys/kernel/random/boot_id", From: FromGiven, Root: "/boot_id"},
		{At: "/proc/meminfo", From: FromFiles, Root: "/meminfo"},
		{At: "/var/lib/docker", From: FromData, Root: "/vps/web/fs/upper/var/lib/docker"},
	}
	if err != nil || !reflect.DeepEqual(given, want) {
		t.Errorf("%+v, %v", given, err)
	}
}

// A mount that neither criu nor croft can make again is refused, by its name.
func TestGivenRefuses(t *testing.T) {
	for line, words := range map[string]string{
		`140 97 8:1 /x /mnt/my\040disk rw shared:30 - ext4 /dev/vdb rw`:                  "type ext4 is mounted on /mnt/my disk",
		`140 97 0:70 / /mnt rw shared:30 - fuse.sshfs me@there: rw`:                      "type fuse.sshfs is mounted on /mnt",
		`140 97 0:70 / /var/lib/docker/overlay2/x/merged rw shared:30 - overlay overlay`: "type overlay is mounted on /var/lib/docker/overlay2/x/merged",
		`140 97 0:70 / /proc/meminfo rw shared:30 - tmpfs mine rw`:                       "something is mounted over /proc/meminfo",
		`140 97 0:70 / / rw shared:30 - tmpfs mine rw`:                                   "something is mounted over /",
	} {
		mounts, err := ParseMounts(usual + line + " \n")
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if _, err := Given(mounts, []string{"/var/lib/docker"}); !fail.Is(err, fail.State) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, text := range []string{"x\n", "1 2 0:3 / /\n", "a 2 0:3 / / rw - proc proc rw\n"} {
		if all, err := ParseMounts(text); err == nil {
			t.Errorf("%q: %+v", text, all)
		}
	}
}

func TestCheckProcesses(t *testing.T) {
	mounts, err := ParseMounts(usual)
	if err != nil {
		t.Fatal(err)
	}
	host, other := map[string]string{"mnt": "mnt:[1]", "pid": "pid:[2]"}, map[string]string{"mnt": "mnt:[7]", "pid": "pid:[2]"}
	init := Process{PID: 10, Parent: 1, Name: "init", Namespaces: host}
	for words, all := range map[string][]Process{
		"":                                    {init, {PID: 11, Parent: 10, Name: "sh", Namespaces: host}, {PID: 12, Parent: 11, Name: "zombie", Namespaces: map[string]string{}}},
		"its init has just ended":             {{PID: 11, Parent: 10, Name: "sh", Namespaces: host}},
		"process 11 (sh) belongs to":          {init, {PID: 11, Parent: 5, Name: "sh", Namespaces: host}},
		"process 11 (sh) has a mnt namespace": {init, {PID: 11, Parent: 10, Name: "sh", Namespaces: other}},
		"process 11 (top) has /proc/meminfo open": {init, {PID: 11, Parent: 10, Name: "top", Namespaces: host,
			Files: []OpenFile{{"/dev/null", 121}, {"/proc/meminfo", 116}}}},
	} {
		err := CheckProcesses(10, all, mounts)
		if words == "" && err != nil || words != "" && (!fail.Is(err, fail.State) || !strings.Contains(err.Error(), words)) {
			t.Errorf("%q: %v", words, err)
		}
	}
}

// Look reads this very process.
func TestLook(t *testing.T) {
	all, err := Look([]int{1 << 30})
	if err != nil || len(all) > 0 {
		t.Errorf("a process that does not exist: %+v, %v", all, err)
	}
}
