package state

// A Firewall is what croft lets into, out of and through a VPS; policies and
// rules are those of network.Firewall, which says what they mean.
type Firewall struct {
	Input   string         `json:"input,omitempty"` // policy: accept, which is the default, or drop
	Output  string         `json:"output,omitempty"`
	Forward string         `json:"forward,omitempty"`
	Rules   []FirewallRule `json:"rules,omitempty"`
}

// A FirewallRule is one rule of a Firewall, in the order in which they are
// looked at. What is empty matches anything.
type FirewallRule struct {
	Chain    string   `json:"chain"`  // input, output, forward
	Action   string   `json:"action"` // allow, deny, reject
	Protocol string   `json:"protocol,omitempty"`
	Ports    []string `json:"ports,omitempty"` // 80, 8000-8100
	From     string   `json:"from,omitempty"`  // address or prefix
	To       string   `json:"to,omitempty"`
	States   []string `json:"states,omitempty"` // new, established, related, invalid
}
