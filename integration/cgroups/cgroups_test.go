package cgroups

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name, mountinfo string
		want            []Hierarchy
	}{{
		name:      "version 2",
		mountinfo: "35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n",
		want:      []Hierarchy{{mount: "/sys/fs/cgroup", v2: true}},
	}, {
		name: "hybrid, one seen twice, and one that is bound elsewhere",
		mountinfo: "20 1 0:18 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw,mode=755\n" +
			"21 20 0:19 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
			"22 20 0:20 / /sys/fs/cgroup/systemd rw - cgroup systemd rw,xattr,release_agent=/lib/agent,name=systemd\n" +
			"23 20 0:21 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n" +
			"24 20 0:19 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
			"25 1 0:19 /x /srv/rootfs/sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n",
		want: []Hierarchy{
			{mount: "/sys/fs/cgroup/cpu,cpuacct", options: "cpu,cpuacct"},
			{mount: "/sys/fs/cgroup/systemd", options: "none,name=systemd"},
			{mount: "/sys/fs/cgroup/unified", v2: true},
		},
	}} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Parse(test.mountinfo), cmp.AllowUnexported(Hierarchy{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}
