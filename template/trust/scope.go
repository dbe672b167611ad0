package trust

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"croft/template/reference"
)

// ParseReference reads a reference to an image in a registry, in the complete form. One with a tag
// and a digest refers to the digest.
func ParseReference(text string) (*reference.Named, error) {
	ref, err := reference.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%q is not a reference to an image: %w", text, err)
	}
	if ref.Digest != "" {
		ref.Tag = ""
	}
	return ref, nil
}

// RegistryScopes returns the scopes of an image in a registry, the narrowest first: the image, the
// repository, its namespaces, the host, and the domains of the host as wildcards.
func RegistryScopes(ref *reference.Named) []string {
	return append([]string{ref.String()}, namespaces(ref.Name())...)
}

// ServerScopes returns the scopes of an image server, the narrowest first. address is the HOST[:PORT][/PATH]
// of its URL.
func ServerScopes(address string) []string { return namespaces(strings.TrimRight(address, "/")) }

// namespaces returns name, what is above it, and the domains of its host as wildcards.
func namespaces(name string) []string {
	all := []string{name}
	for i := strings.LastIndexByte(name, '/'); i >= 0; i = strings.LastIndexByte(name, '/') {
		name = name[:i]
		all = append(all, name)
	}
	host, _, _ := strings.Cut(name, ":")
	for {
		_, domain, ok := strings.Cut(host, ".")
		if !ok {
			return all
		}
		all = append(all, "*."+domain)
		host = domain
	}
}

// FileScopes returns the scopes of an image in a file or a directory, the narrowest first: the image
// in it if it has a name, the file, and the directories above. The path is absolute and has no
// links in it. There are none for "", a stream.
func FileScopes(t Transport, file, image string) []string {
	if file == "" || slices.Contains(pathless, t) {
		return nil
	}
	var all []string
	if image != "" {
		all = append(all, file+":"+image)
	}
	for ; file != "/"; file = path.Dir(file) {
		all = append(all, file)
	}
	return all
}

// checkScope returns an error for a scope that no image has.
func checkScope(t Transport, scope string) error {
	switch {
	case scope == "" || slices.Contains(foreign, t):
		return nil
	case slices.Contains(pathless, t):
		return fmt.Errorf(`the transport %s has only the scope ""`, t)
	case t == OCI || t == OCIArchive:
		if !path.IsAbs(scope) || path.Clean(scope) != scope || scope == "/" {
			return fmt.Errorf(`%q is not a scope of %s: give an absolute path, without a "/" at its end`, scope, t)
		}
		return nil
	}
	host, rest, _ := strings.Cut(scope, "/")
	domain, wild := strings.CutPrefix(host, "*.")
	if strings.Contains(scope, "://") || strings.HasSuffix(scope, "/") || strings.ContainsAny(domain+rest, "* \t") || domain == "" || wild && strings.ContainsAny(scope, "/:") {
		return fmt.Errorf("%q is not a scope of %s: give HOST[:PORT][/NAMESPACE], the whole reference of an image, or *.DOMAIN", scope, t)
	}
	if t == Docker && !strings.ContainsAny(host, ".:") && host != "localhost" {
		return fmt.Errorf("%q is not a scope of %s, because %q is not a host: an image of Docker Hub is docker.io/library/NAME", scope, t, host)
	}
	return nil
}
