package container

import (
	"fmt"
	"os"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// withOOMScore returns spec with an oom_score_adj that is higher by more. libcontainer
// gives it to the init and to each process that enters the container.
func withOOMScore(spec *specs.Spec, more int) *specs.Spec {
	if more == 0 {
		return spec
	}
	raised, process := *spec, *spec.Process
	score := ofInit(spec) + more
	process.OOMScoreAdj, raised.Process = &score, &process
	return &raised
}

// lowerOOMScore gives the init of a container, which waits, the oom_score_adj of spec.
// Without CAP_SYS_RESOURCE the host may refuse it, and the init is then as likely as
// others to be killed.
func lowerOOMScore(pid int, spec *specs.Spec) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(strconv.Itoa(ofInit(spec))), 0)
}

func ofInit(spec *specs.Spec) int {
	if spec.Process.OOMScoreAdj == nil {
		return 0
	}
	return *spec.Process.OOMScoreAdj
}
