package oci

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"croft/runtime/container"
)

// versionText is what --version prints, in the lines that runc prints.
func (p *program) versionText() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s version %s\n", p.name, p.ownVersion())
	if c := p.commit(); c != "" {
		fmt.Fprintf(&out, "commit: %s\n", c)
	}
	fmt.Fprintf(&out, "spec: %s\ngo: %s\n", specs.Version, runtime.Version())
	if v := container.SeccompVersion(); v != "" {
		fmt.Fprintf(&out, "libseccomp: %s\n", v)
	}
	return out.String()
}

// ownVersion is croft's; under runc's name the version of runc comes first
// whose command line and libcontainer this is, since that is what one who
// calls runc compares with.
func (p *program) ownVersion() string {
	version := p.version
	if version == "" {
		version = "devel"
	}
	if p.name != "runc" {
		return version
	}
	return container.RuncVersion() + "+croft." + version
}

// commit is the revision of the sources; the version, which has it too, if the
// build does not know more.
func (p *program) commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return p.version
}
