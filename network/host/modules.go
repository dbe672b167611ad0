package host

import (
	"context"
	"os"
	"os/exec"
	"slices"
)

// guestModules returns the kernel modules that VPSs use and cannot load
// themselves.
func guestModules() []string {
	return []string{
		"ip_tables", "iptable_filter", "iptable_nat", "iptable_mangle", "iptable_raw",
		"ip6_tables", "ip6table_filter", "ip6table_nat", "ip6table_mangle", "ip6table_raw",
		"nf_tables", "nft_compat", "nft_ct", "nft_nat", "nft_masq", "nft_chain_nat", "nft_reject_inet", "nft_log", "nft_limit",
		"nf_conntrack", "nf_nat", "xt_conntrack", "xt_MASQUERADE", "xt_comment", "xt_multiport", "xt_addrtype",
		"xt_state", "xt_LOG", "xt_limit", "xt_recent", "xt_set", "xt_tcpudp", "ipt_REJECT", "ip6t_REJECT", "ip_set",
		"bridge", "br_netfilter", "veth", "overlay", "tun", "fuse", "wireguard",
	}
}

// loadModules loads the modules that are missing. A kernel without modules, or
// with built-in ones, has nothing to load. A feature that is really missing
// causes an error where it is used.
func loadModules(ctx context.Context) {
	if _, err := os.Stat("/proc/modules"); err != nil {
		return
	}
	modprobe, err := findTool("modprobe")
	if err != nil {
		return
	}
	var missing []string
	for _, m := range guestModules() {
		if _, err := os.Stat("/sys/module/" + m); err != nil {
			missing = append(missing, m)
		}
	}
	if len(missing) > 0 {
		if slices.Contains(missing, "br_netfilter") {
			defer moduleBridgeCalls()
		}
		_ = exec.CommandContext(ctx, modprobe, append([]string{"-a", "-q", "-b"}, missing...)...).Run()
	}
}
