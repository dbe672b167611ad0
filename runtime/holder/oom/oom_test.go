package oom

import "testing"

const (
	first  = "3,1100,54813594099,-;perl invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n"
	chosen = "6,1101,54813594106,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=deb,mems_allowed=0,oom_memcg=/croft/deb," +
		"task_memcg=/croft/deb,task=perl,pid=739,uid=2359296\n"
	gone = "3,1102,54813594121,-;Memory cgroup out of memory: Killed process 739 (perl) total-vm:886796kB, anon-rss:514176kB, file-rss:4520kB, " +
		"shmem-rss:0kB, UID:2359296 pgtables:1072kB oom_score_adj:0\n"
)

func TestVictim(t *testing.T) {
	r := Reader{Scope: Scope{"/croft/deb", 2359296, 65536}}
	for n, record := range []string{gone, first, chosen, first} {
		if v, ok := r.Read([]byte(record)); ok {
			t.Errorf("record %d: %+v", n, v)
		}
	}
	v, ok := r.Read([]byte(gone))
	if !ok || v.PID != 739 || string(v.Name) != "perl" || v.Anon != 514176 || string(v.Sizes) != "total-vm:886796kB, anon-rss:514176kB, file-rss:4520kB, shmem-rss:0kB" {
		t.Errorf("%v %d %s %d %s", ok, v.PID, v.Name, v.Anon, v.Sizes)
	}
	if _, ok := r.Read([]byte("3,1,1,-;Out of memory: Killed process 7 (a) b) total-vm:1kB, anon-rss:2kB, UID:0\n")); !ok { // memory.oom.group
		t.Error("a second victim is not one")
	}
}

// A VPS gets what happens in its own cgroup, to its own users, and no other can make it believe
// something.
func TestScope(t *testing.T) {
	const head = "6,1,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0,oom_memcg="
	for text, want := range map[string]bool{
		head + "/croft/web,task_memcg=/croft/web,task=a,pid=1,uid=1000\n":                                             true,
		head + "/croft/web/x,task_memcg=/croft/web/x/y,task=a,pid=1,uid=1099\n":                                       true,
		"6,1,1,-;oom-kill:constraint=CONSTRAINT_NONE,cpuset=/,global_oom,task_memcg=/croft/web,task=a,pid=1,uid=1000": true,
		head + "/croft/web,task_memcg=/croft/web,task=,task_memcg=/a,pid=1,uid=1000\n":                                false,
		head + "/croft/web,task_memcg=/croft/web2,task=a,pid=1,uid=1000\n":                                            false,
		head + "/croft/web,task_memcg=/croft/web,task=a,pid=1,uid=999\n":                                              false,
		head + "/croft/web,task_memcg=/croft/web,task=a,pid=1,uid=1100\n":                                             false,
		head + "/croft/evil/x,task_memcg=/croft/web,task=a,task_memcg=/croft/evil,task=a,pid=1,uid=1000\n":            false,
		"12,1,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/croft/web,task=a,pid=1,uid=1000\n":                 false,
		head + "/croft/web": false, "6,1,1,-;oom-kill:constraint=": false, "": false, "6,1": false,
	} {
		r := Reader{Scope: Scope{"/croft/web", 1000, 100}}
		r.Read([]byte(text))
		if r.ours != want {
			t.Errorf("%s: %v", text, r.ours)
		}
	}
	r := Reader{Scope: Scope{Cgroup: "/croft/web"}} // privileged
	if r.Read([]byte(head + "/croft/web,task_memcg=/croft/web,task=a,pid=1,uid=0\n")); !r.ours {
		t.Error("a privileged VPS has no victim")
	}
	r = Reader{}
	if r.Read([]byte(head + "/croft/web,task_memcg=/croft/web,task=a,pid=1,uid=0\n")); r.ours {
		t.Error("without a cgroup there is a victim")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(chosen), []byte(gone))
	f.Add([]byte(chosen), []byte("3,,;Killed process 1 () total-vm:"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		r := Reader{Scope: Scope{Cgroup: "/croft/deb"}}
		r.Read(a)
		if v, ok := r.Read(b); ok && v.PID <= 0 {
			t.Errorf("%q: %+v", b, v)
		}
	})
}
