package options

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/values"
	"croft/internal/vps"
)

// PublicationForm is the form of a published port, for help.
const PublicationForm = "[ADDRESS:]PORT:PORT[/udp]"

// ParsePublicationChoice reads NUMBER, PORTS, PORTS/PROTOCOL or
// [ADDRESS:]PORTS:PORTS[/PROTOCOL].
func ParsePublicationChoice(s string) (vps.PublicationChoice, error) {
	ports, protocol, hasProtocol := strings.Cut(s, "/")
	if strings.Contains(ports, ":") {
		p, err := ParsePublication(s)
		if err != nil {
			return vps.PublicationChoice{}, err
		}
		return vps.PublicationChoice{Protocol: protocol, Host: p.Host, Ports: p.Ports, To: p.To}, nil
	}
	if n, err := values.Number(s); err == nil {
		return vps.PublicationChoice{Number: n}, nil
	}
	if _, _, err := vps.ParsePorts(ports); err != nil || hasProtocol && protocol != "tcp" && protocol != "udp" {
		return vps.PublicationChoice{}, fmt.Errorf("invalid published port %q (for example 1, 8080, 53/udp, 8080:80)", s)
	}
	return vps.PublicationChoice{Protocol: protocol, Ports: ports}, nil
}

// ParsePublication reads [ADDRESS:]PORTS:PORTS[/PROTOCOL].
func ParsePublication(s string) (vps.Publication, error) {
	bad := func() (vps.Publication, error) {
		return vps.Publication{}, fmt.Errorf("invalid port %q: use %s, for example 8080:80, 192.0.2.1:53:53/udp, [::1]:8000-8010:80-90", s, PublicationForm)
	}
	rest, protocol, ok := strings.Cut(s, "/")
	if !ok {
		protocol = "tcp"
	}
	if protocol != "tcp" && protocol != "udp" {
		return vps.Publication{}, fmt.Errorf("%q: unknown protocol %q: use tcp or udp", s, protocol)
	}
	p := vps.Publication{Protocol: protocol}
	words := strings.Split(rest, ":")
	if len(words) < 2 {
		return bad()
	}
	last := len(words) - 2
	p.Ports, p.To = words[last], words[last+1]
	if last > 0 {
		host := strings.Join(words[:last], ":")
		inner, isSix := strings.CutPrefix(host, "[")
		if isSix {
			host, ok = strings.CutSuffix(inner, "]")
			isSix = ok
		}
		a, err := netip.ParseAddr(host)
		if err != nil || a.Zone() != "" || a.Is4In6() || a.Is6() != isSix {
			return bad()
		}
		p.Host = a.String()
	}
	return p, p.Check()
}

// publishOption is --publish for verbs that create a VPS.
func publishOption() cmdline.Option {
	return cmdline.Option{Name: "publish", Short: "p", Placeholder: PublicationForm, Many: true, Usage: "host port to forward to it, for example 8080:80; may be repeated"}
}

// publications reads --publish.
func publications(i *command.Invocation) []vps.Publication {
	all := command.GetMany(i, "publish", ParsePublication)
	for n, p := range all {
		if slices.Contains(all[:n], p) && i.Err == nil {
			i.Err = command.UsageError("--publish: %s is given twice", PublicationText(p))
		}
	}
	return all
}

// setPublishOption is --publish for set.
func setPublishOption() cmdline.Option {
	o := publishOption()
	o.Placeholder, o.Dash = o.Placeholder+"|-PORT", true
	o.Usage = "publish a host port, for example 8080:80, or remove it: -8080; may be repeated"
	return o
}

// publishEdits reads --publish of set. The removals come first, so a published port can
// get another target at the same time.
func publishEdits(i *command.Invocation) []vps.Edit {
	var add, remove []vps.Edit
	for _, e := range command.GetMany(i, "publish", publishEdit) {
		if _, adds := e.(vps.Publish); adds {
			add = append(add, e)
		} else {
			remove = append(remove, e)
		}
	}
	return append(remove, add...)
}

// publishEdit reads SPEC, or -PORT, -PORT/PROTOCOL or -SPEC, which chooses by the
// port of the host, and never by a number of the list.
func publishEdit(s string) (vps.Edit, error) {
	text, removes := strings.CutPrefix(s, "-")
	if !removes {
		p, err := ParsePublication(s)
		return vps.Publish{Ports: []vps.Publication{p}}, err
	}
	c, err := ParsePublicationChoice(text)
	if c.Number != 0 {
		c = vps.PublicationChoice{Ports: text}
	}
	if err == nil && c.Ports != "" {
		_, _, err = vps.ParsePorts(c.Ports)
	}
	return vps.Unpublish{Chosen: []vps.PublicationChoice{c}}, err
}

// PublicationText returns p as users write it.
func PublicationText(p vps.Publication) string {
	text := p.Ports + ":" + p.To + "/" + p.Protocol
	switch {
	case strings.Contains(p.Host, ":"):
		text = "[" + p.Host + "]:" + text
	case p.Host != "":
		text = p.Host + ":" + text
	}
	return text
}
