package network

import "croft/internal/vps"

// A RoutingInfo is the routes and rules of a VPS, croft's and its own. Its
// JSON keys are stable.
type RoutingInfo struct {
	Name    vps.Name        `json:"name"`
	Running bool            `json:"running"`
	Applied bool            `json:"applied"` // it runs, and all that is saved is there
	Routes  []RouteInfo     `json:"routes"`
	Rules   []RouteRuleInfo `json:"rules"`
}

// A RouteInfo is a route that is saved or there, or both.
type RouteInfo struct {
	Number      int    `json:"number"` // of what croft keeps; 0 is the VPS's own
	Destination string `json:"destination"`
	Via         string `json:"via"`
	Dev         string `json:"dev"`
	Src         string `json:"src"`
	MTU         int    `json:"mtu"`
	AdvMSS      int    `json:"advmss"`
	Table       int    `json:"table"`
	Metric      int    `json:"metric"`
	Applied     bool   `json:"applied"` // it is there
}

// A RouteRuleInfo is a rule that is saved or there, or both.
type RouteRuleInfo struct {
	Number   int    `json:"number"` // goes on from the routes'
	From     string `json:"from"`
	To       string `json:"to"`
	Table    int    `json:"table"`
	Priority int    `json:"priority"`
	Applied  bool   `json:"applied"`
}

func routeInfo(r vps.Route, number int, applied bool) RouteInfo {
	return RouteInfo{Number: number, Destination: r.Destination, Via: r.Via, Dev: r.Dev, Src: r.Src, MTU: r.MTU, AdvMSS: r.AdvMSS,
		Table: r.TableNumber(), Metric: r.Metric, Applied: applied}
}

func routeRuleInfo(r vps.RouteRule, number int, applied bool) RouteRuleInfo {
	return RouteRuleInfo{number, r.From, r.To, r.Table, r.Priority, applied}
}

// SavedRouting describes the saved routes and rules r of the VPS name, with nothing
// of it applied.
func SavedRouting(r vps.Routing, name vps.Name) RoutingInfo {
	info := RoutingInfo{Name: name, Routes: []RouteInfo{}, Rules: []RouteRuleInfo{}}
	for i, route := range r.Routes {
		info.Routes = append(info.Routes, routeInfo(route, i+1, false))
	}
	for i, rule := range r.Rules {
		info.Rules = append(info.Rules, routeRuleInfo(rule, len(r.Routes)+i+1, false))
	}
	return info
}

// LiveRouting is SavedRouting with the present state, as the kernel lists it.
func LiveRouting(r vps.Routing, name vps.Name, there vps.Routing) RoutingInfo {
	info := SavedRouting(r, name)
	info.Running, info.Applied = true, true
	used := map[int]bool{}
	for i, route := range r.Routes {
		at := Find(there.Routes, used, func(k vps.Route) bool { return IsRoute(route, k) })
		if at < 0 {
			info.Applied = false
			continue
		}
		info.Routes[i] = routeInfo(there.Routes[at], i+1, true)
	}
	for i, route := range there.Routes {
		if !used[i] {
			info.Routes = append(info.Routes, routeInfo(route, 0, true))
		}
	}
	used = map[int]bool{}
	for i, rule := range r.Rules {
		at := Find(there.Rules, used, func(k vps.RouteRule) bool { return IsRouteRule(rule, k) })
		if at < 0 {
			info.Applied = false
			continue
		}
		info.Rules[i] = routeRuleInfo(there.Rules[at], len(r.Routes)+i+1, true)
	}
	for i, rule := range there.Rules {
		if !used[i] {
			info.Rules = append(info.Rules, routeRuleInfo(rule, 0, true))
		}
	}
	return info
}

// Find returns the index of the first unused element for which is returns true,
// and marks it used; -1 if there is none.
func Find[T any](all []T, used map[int]bool, is func(T) bool) int {
	for i, x := range all {
		if !used[i] && is(x) {
			used[i] = true
			return i
		}
	}
	return -1
}
