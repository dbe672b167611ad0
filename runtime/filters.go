package runtime

import (
	"fmt"
	"strings"

	"croft/internal/atomicfile"
	"croft/internal/vps"
	"croft/network"
	"croft/runtime/paths"
)

// noteFilters tells the monitor of the running VPS name where the kernel counts the packets
// of its interfaces that the filters have dropped. Without that the VPS runs, and its kernel
// messages say nothing of them.
func (m *Manager) noteFilters(name vps.Name, plans []network.Plan) {
	var b strings.Builder
	for _, p := range plans {
		for _, c := range p.DropCounts() {
			fmt.Fprintln(&b, c)
		}
	}
	if err := atomicfile.Replace(paths.Filters(m.store, name), 0o600, []byte(b.String())); err != nil {
		m.warn(fmt.Sprintf("%s is not told of packets that filters drop: %v", name, err))
	}
}
