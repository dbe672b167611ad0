package state

// A Routing is the routes and rules that croft adds inside a VPS; what they
// mean, network.Routing says.
type Routing struct {
	Routes []Route     `json:"routes,omitempty"`
	Rules  []RouteRule `json:"rules,omitempty"`
}

// A Route is one route; what is absent is the kernel's choice, or the way of
// the VPS's gateway.
type Route struct {
	Destination string `json:"destination"` // prefix
	Via         string `json:"via,omitempty"`
	Dev         string `json:"dev,omitempty"`
	Src         string `json:"src,omitempty"`
	MTU         int    `json:"mtu,omitempty"`
	AdvMSS      int    `json:"advmss,omitempty"`
	Table       int    `json:"table,omitempty"`
	Metric      int    `json:"metric,omitempty"`
}

// A RouteRule says for which packets a table is looked at.
type RouteRule struct {
	From     string `json:"from,omitempty"`
	To       string `json:"to,omitempty"`
	Table    int    `json:"table"`
	Priority int    `json:"priority,omitempty"`
}
