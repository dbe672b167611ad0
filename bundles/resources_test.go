package bundles

import (
	"encoding/json"
	"testing"

	"github.com/opencontainers/cgroups"

	"croft/internal/vps"
)

// The limits of a VPS on hosts of each version of cgroups, when it starts and while it
// runs. What the host does not have is left out.
func TestResources(t *testing.T) {
	all := vps.Limits{Memory: 64 << 20, Swap: -1, MilliCPUs: 500, PIDs: 7, MemoryLow: 32 << 20, CPUWeight: 200, CPUSet: "0-1,9", IOWeight: 10000,
		IORead:  []vps.IOLimit{{Device: "/dev/b", Operations: 100}, {Bytes: 1 << 20}},
		IOWrite: []vps.IOLimit{{Bytes: 2 << 20}, {Device: "/dev/same", Bytes: 3 << 20}, {Device: "/dev/gone", Bytes: 1}}}
	disks := Disks{"": {Name: "a", Major: 8}, "/dev/b": {Name: "b", Major: 8, Minor: 16}, "/dev/same": {Name: "a", Major: 8}}
	version1 := Capacity{LimitMemory: true, LimitCPU: true, LimitCPUSet: true, LimitIO: true, BFQ: true, CPUList: "0-3"}
	version2 := version1
	version2.Unified, version2.IOCost, version2.LimitPIDs = true, true, true
	const limited = `"memory":{"limit":67108864,"swap":67108864}`
	for _, c := range []struct {
		name string
		l    vps.Limits
		host Capacity
		live bool
		want string
	}{
		{"version 1", all, version1, false, `{"memory":{"limit":67108864,"reservation":33554432,"swap":67108864},` +
			`"cpu":{"shares":2451,"quota":50000,"period":100000,"cpus":"0-1"},"pids":{"limit":7},"blockIO":{"weight":1000,` +
			`"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1048576}],"throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":3145728}],` +
			`"throttleReadIOPSDevice":[{"major":8,"minor":16,"rate":100}]}}`},
		{"version 2", all, version2, false, `{` + limited + `,"cpu":{"shares":2451,"quota":50000,"period":100000,"cpus":"0-1"},"pids":{"limit":7},` +
			`"unified":{"io.bfq.weight":"1000","io.max":"8:0 rbps=1048576 wbps=3145728 riops=max wiops=max\n8:16 rbps=max wbps=max riops=100 wiops=max",` +
			`"io.weight":"10000","memory.low":"33554432"}}`},
		{"none of the controllers", all, Capacity{}, false, `{` + limited + `,"cpu":{"quota":50000,"period":100000},"pids":{"limit":7}}`},
		{"none of the controllers, version 2", all, Capacity{Unified: true}, false, `{}`},
		{"the end of all, version 2 without controllers", vps.Limits{PIDs: -1}, Capacity{Unified: true}, true, `{"memory":{},"cpu":{}}`},
		{"the end of all, version 1", vps.Limits{PIDs: -1}, version1, true, `{"memory":{"limit":-1,"reservation":-1,"swap":-1},` +
			`"cpu":{"shares":1024,"quota":-1,"period":100000},"pids":{"limit":-1},"blockIO":{"weight":100}}`},
		{"the end of all, version 2", vps.Limits{PIDs: -1}, version2, true, `{"memory":{"limit":-1,"swap":-1},` +
			`"cpu":{"shares":1024,"quota":-1,"period":100000},"pids":{"limit":-1},` +
			`"unified":{"io.bfq.weight":"100","io.weight":"100","memory.low":"0"}}`},
		{"the end of all, no controllers", vps.Limits{PIDs: -1}, Capacity{}, true, `{"memory":{"limit":-1,"swap":-1},` +
			`"cpu":{"quota":-1,"period":100000},"pids":{"limit":-1},"blockIO":{}}`},
	} {
		r := Resources(c.l, c.host, disks)
		if !c.live {
			r = resources(Settings{Limits: c.l, Capacity: c.host, Disks: disks})
			r.Devices = nil
		}
		text, err := json.Marshal(r)
		if err != nil || string(text) != c.want {
			t.Errorf("%s: %v\n%s\nnot\n%s", c.name, err, text, c.want)
		}
	}
}

// Runtimes convert the shares of a weight back to the same weight.
func TestCPUShares(t *testing.T) {
	for weight := int64(1); weight <= vps.MaxWeight; weight++ {
		if got := cgroups.ConvertCPUSharesToCgroupV2Value(CPUShares(weight)); got != uint64(weight) {
			t.Errorf("%d: %d shares are %d", weight, CPUShares(weight), got)
		}
	}
	if got := CPUShares(vps.DefaultWeight); got != 1024 {
		t.Errorf("the default is %d shares", got)
	}
}
