package doctor

import (
	"fmt"
	"strings"

	"croft/internal/sizes"
)

// memory judges the memory of a VPS.
func memory(f Facts) []Finding {
	limit := "no limit"
	if f.Memory.Limit > 0 {
		limit = "its limit is " + sizes.Text(f.Memory.Limit)
	}
	switch {
	case f.OOM.Kills > 0:
		return []Finding{f.warning("memory", fmt.Sprintf("no memory was left since its start, and %s (%s)", f.OOM, limit), f.moreMemory())}
	case f.Memory.nearly(9):
		return []Finding{f.warning("memory", fmt.Sprintf("%s are in use (%s)", sizes.Text(f.Memory.Used), limit), f.moreMemory())}
	}
	return nil
}

// processes judges the number of processes of a VPS.
func processes(f Facts) []Finding {
	cause := fmt.Sprintf("%d of %d are in use", f.PIDs.Used, f.PIDs.Limit)
	if f.Refused > 0 {
		cause += fmt.Sprintf("; the limit has refused %d since its start", f.Refused)
	}
	switch {
	case f.PIDs.Limit > 0 && f.PIDs.Used+aCommand >= f.PIDs.Limit:
		return []Finding{f.failure("processes", cause, f.morePIDs())}
	case f.Refused > 0 || f.PIDs.nearly(9):
		return []Finding{f.warning("processes", cause, f.morePIDs())}
	}
	return nil
}

// aCommand is how many processes and threads a command of croft needs inside.
const aCommand = 8

// disk judges the disk of a VPS with a limit.
func disk(f Facts) []Finding {
	var all []Finding
	for _, c := range []struct {
		what, cause, remedy string
		use                 Use
	}{
		{"disk", fmt.Sprintf("%s of %s are in use", sizes.Text(f.Disk.Used), sizes.Text(f.Disk.Limit)), f.moreDisk(), f.Disk},
		{"inodes", fmt.Sprintf("%d of %d files and directories are in use", f.Inodes.Used, f.Inodes.Limit), command("croft diff %s", f.Name), f.Inodes},
	} {
		switch {
		case c.use.Limit > 0 && c.use.Used >= c.use.Limit:
			all = append(all, f.failure(c.what, c.cause, c.remedy))
		case c.use.nearly(9):
			all = append(all, f.warning(c.what, c.cause, c.remedy))
		}
	}
	return all
}

// kernel judges what the kernel counts for the VPS by limits of the host.
func kernel(f Facts) []Finding {
	var all []Finding
	for _, c := range []struct {
		what, unit string
		use        Use
		remedy     string
	}{
		{"inotify", "instances", f.Instances, f.moreInotify()},
		{"kernel keys", "keys of one user", f.Keys, f.moreKeys()},
		{"kernel keys", "bytes of keys of one user", f.KeyBytes, f.moreKeys()},
	} {
		if c.use.nearly(8) {
			all = append(all, f.warning(c.what, fmt.Sprintf("%d of the %d %s that the host allows are in use", c.use.Used, c.use.Limit, c.unit), c.remedy))
		}
	}
	return all
}

// networks judges what of the network of a VPS does not work.
func networks(f Facts) []Finding {
	var all []Finding
	for _, d := range f.Dropped {
		if why, ok := reasons[d.Reason]; ok {
			cause, remedy := fmt.Sprintf("the host has dropped %d packets: %s", d.Packets, why.cause), command(why.remedy, f.Name)
			if d.Reason == "connections" && d.Limit > 0 {
				remedy = command("croft set %s --connections %d", f.Name, 2*int64(d.Limit))
			}
			all = append(all, f.warning("interface "+d.Interface, cause, remedy))
		}
	}
	if len(f.Silent) > 0 {
		all = append(all, f.warning("network", "the host gets no answer from "+strings.Join(f.Silent, ", ")+": the interface is down inside, or a firewall inside drops pings",
			command("croft exec %s -- ip address", f.Name)))
	}
	switch d := f.DNS; {
	case d.None:
		all = append(all, f.failure("DNS", "its /etc/resolv.conf names no server", command("croft exec %s -- cat /etc/resolv.conf", f.Name)))
	case len(d.Servers) > 0 && len(d.Silent) == len(d.Servers):
		all = append(all, f.failure("DNS", "no server answers: "+strings.Join(d.Silent, ", "), command("croft exec %s -- cat /etc/resolv.conf", f.Name)))
	case len(d.Silent) > 0:
		all = append(all, f.warning("DNS", "a server does not answer, so names take long: "+strings.Join(d.Silent, ", "), command("croft exec %s -- cat /etc/resolv.conf", f.Name)))
	}
	return all
}

// reasons say why the filters of the host drop packets (network.Reason). What is not
// here happens in every healthy network.
var reasons = map[string]struct{ cause, remedy string }{
	"mac":         {"their source MAC address is not that of the VPS", "croft list %s --columns name,macs"},
	"arp":         {"it claimed an address in ARP that is not its own", "croft list %s --columns name,addresses"},
	"source":      {"their source address is not one of the VPS", "croft list %s --columns name,addresses"},
	"dhcp":        {"it answered as a DHCP server", "croft inspect %s"},
	"router":      {"it acted as a router for its neighbours", "croft inspect %s"},
	"connections": {"they would begin more connections than its limit allows", "croft inspect %s"},
}
