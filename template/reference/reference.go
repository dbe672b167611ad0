// Package reference reads names of images in registries, in the complete form and in the
// short one of Docker.
//
// It reads what github.com/distribution/reference reads, and its tests compare both. That package
// compiles its patterns before main, which was a third of the time of all packages in each
// process of croft.
package reference

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// A Named is the name of an image in a registry, with a tag, a digest, both or none.
type Named struct {
	Domain string // HOST[:PORT]; "" if what stands there cannot be a host
	Path   string // of the repository
	Tag    string
	Digest digest.Digest
}

// What a short name means.
const (
	hub      = "docker.io"
	oldHub   = "index.docker.io"
	official = "library/"
)

// longestPath is the greatest length of the path of a repository.
const longestPath = 255

// Parse reads a reference. A short one gets what it leaves out: ubuntu is
// docker.io/library/ubuntu.
func Parse(text string) (*Named, error) {
	if len(text) == 64 && only(text, isLowerHex) {
		return nil, fmt.Errorf("%q is an id and not a name", text)
	}
	domain, rest := split(text)
	rest, said, withDigest := strings.Cut(rest, "@")
	n := &Named{Domain: domain}
	n.Path = rest
	if colon := strings.LastIndexByte(rest, ':'); colon > strings.LastIndexByte(rest, '/') {
		n.Path, n.Tag = rest[:colon], rest[colon+1:]
		if !isTag(n.Tag) {
			return nil, fmt.Errorf("invalid tag %q", n.Tag)
		}
	}
	if withDigest {
		var err error
		if n.Digest, err = digest.Parse(said); err != nil {
			return nil, err
		}
	}
	if !isDomain(domain) { // then it is the begin of the path
		n.Domain, n.Path = "", domain+"/"+n.Path
	}
	if strings.ToLower(n.Path) != n.Path {
		return nil, fmt.Errorf("the repository %q has capital letters", n.Path)
	}
	if !isPath(n.Path) {
		return nil, fmt.Errorf("invalid name %q", n.Name())
	}
	if len(n.Path) > longestPath {
		return nil, fmt.Errorf("the name of the repository is longer than %d characters", longestPath)
	}
	return n, nil
}

// ParseComplete is Parse for a reference in the complete form. A short one is an error.
func ParseComplete(text string) (*Named, error) {
	n, err := Parse(text)
	if err == nil && n.String() != text {
		err = errors.New("it is not the complete form of a reference")
	}
	if err != nil {
		return nil, err
	}
	return n, nil
}

// split returns the host of a reference, and what follows it.
func split(text string) (domain, rest string) {
	first, after, ok := strings.Cut(text, "/")
	switch {
	case !ok:
		return hub, official + text
	case first == oldHub:
		domain, rest = hub, after
	case first == "localhost", strings.ContainsAny(first, ".:"), strings.ToLower(first) != first:
		domain, rest = first, after
	default:
		domain, rest = hub, text
	}
	if domain == hub && !strings.Contains(rest, "/") {
		rest = official + rest
	}
	return domain, rest
}

// Name returns the repository, with its host.
func (n *Named) Name() string {
	if n.Domain == "" {
		return n.Path
	}
	return n.Domain + "/" + n.Path
}

// String returns the complete form.
func (n *Named) String() string {
	text := n.Name()
	if n.Tag != "" {
		text += ":" + n.Tag
	}
	if n.Digest != "" {
		text += "@" + n.Digest.String()
	}
	return text
}

// NameOnly reports whether n has neither a tag nor a digest.
func (n *Named) NameOnly() bool { return n.Tag == "" && n.Digest == "" }

// Repository returns n without tag and digest.
func (n *Named) Repository() *Named { return &Named{Domain: n.Domain, Path: n.Path} }

// isDomain reports whether text is HOST[:PORT]: a name, an IPv4 address, or an IPv6 address in
// brackets without a zone.
func isDomain(text string) bool {
	host, port := text, ""
	if colon := strings.LastIndexByte(text, ':'); colon > strings.LastIndexByte(text, ']') {
		host, port = text[:colon], text[colon+1:]
		if port == "" || !only(port, isDigit) {
			return false
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && inner != "" && only(inner, func(c byte) bool { return c == ':' || isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' })
	}
	for part := range strings.SplitSeq(host, ".") {
		if part == "" || part[0] == '-' || part[len(part)-1] == '-' || !only(part, func(c byte) bool { return c == '-' || isAlphanumeric(c) }) {
			return false
		}
	}
	return true
}

// isPath reports whether text is the path of a repository: components of small letters and
// digits, which have separators between them: a dot, one or two underscores, or dashes.
func isPath(text string) bool {
	for part := range strings.SplitSeq(text, "/") {
		if !isComponent(part) {
			return false
		}
	}
	return true
}

func isComponent(text string) bool {
	separator := ""
	for i := range len(text) {
		c := text[i]
		switch {
		case isDigit(c) || 'a' <= c && c <= 'z':
			if separator != "" && separator != "." && separator != "_" && separator != "__" && strings.Trim(separator, "-") != "" {
				return false
			}
			separator = ""
		case (c == '.' || c == '_' || c == '-') && i > 0:
			separator += string(c)
		default:
			return false
		}
	}
	return text != "" && separator == ""
}

func isTag(text string) bool {
	return 0 < len(text) && len(text) <= 128 && text[0] != '.' && text[0] != '-' &&
		only(text, func(c byte) bool { return c == '_' || c == '.' || c == '-' || isAlphanumeric(c) })
}

func isDigit(c byte) bool        { return '0' <= c && c <= '9' }
func isLowerHex(c byte) bool     { return isDigit(c) || 'a' <= c && c <= 'f' }
func isAlphanumeric(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// only reports whether is holds for each byte of text.
func only(text string, is func(byte) bool) bool {
	for i := range len(text) {
		if !is(text[i]) {
			return false
		}
	}
	return true
}
