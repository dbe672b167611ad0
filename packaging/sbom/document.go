package main

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"croft/internal/pattern"

	"github.com/google/uuid"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// A build is a built croft, and what it consists of.
type build struct {
	name, version, goVersion string
	program, holder, busybox []byte
	busyboxVersion           string
	time                     time.Time
	settings                 []debug.BuildSetting
	modules                  []goModule
	c                        cLibraries
}

type goModule struct {
	path, version, sum string
	licenses           []string
}

type cLibrary struct{ name, version, license string }

// cLibraries are the C libraries that are linked with croft, and the source packages of
// the distribution that they and busybox come from, as NAME@VERSION.
type cLibraries struct {
	seccomp      string
	libc         cLibrary
	distribution string
	sources      map[string]string
}

const unknown = "NOASSERTION"

// document returns the SPDX document about a build. Equal builds have equal documents.
func document(b build) *spdx.Document {
	sum := sha256.Sum256(b.program)
	d := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName:      "croft-" + b.version,
		DocumentNamespace: "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceOID, append(sum[:], b.version+b.time.String()...)).String(),
		CreationInfo: &spdx.CreationInfo{
			Created:  b.time.Format(time.RFC3339),
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "croft-sbom"}},
		},
	}
	croft := component("croft", b.version, "Apache-2.0", "pkg:generic/croft@"+url.QueryEscape(b.version))
	croft.PackageFileName, croft.PrimaryPackagePurpose = b.name, "APPLICATION"
	croft.PackageChecksums = checksums(b.program)
	croft.PackageComment = "Settings of the build: " + settings(b.settings)
	add(d, croft, "", common.TypeRelationshipDescribe)

	holder := component("croft-holder", b.version, "Apache-2.0", "")
	holder.PrimaryPackagePurpose, holder.PackageChecksums = "APPLICATION", checksums(b.holder)
	add(d, holder, croft.PackageSPDXIdentifier, common.TypeRelationshipContains)
	add(d, busyboxOf(b), croft.PackageSPDXIdentifier, common.TypeRelationshipContains)

	version := strings.TrimPrefix(b.goVersion, "go")
	std := component("std", version, "BSD-3-Clause", "pkg:golang/std@"+url.QueryEscape(version))
	std.PackageSummary = "The runtime and the standard library of Go, by its compiler " + b.goVersion
	add(d, std, croft.PackageSPDXIdentifier, common.TypeRelationshipStaticLink)
	for _, m := range b.modules {
		p := component(m.path, m.version, strings.Join(m.licenses, " AND "), "pkg:golang/"+strings.ToLower(m.path)+"@"+url.QueryEscape(m.version))
		p.PackageSourceInfo = "sum of the module in go.sum: " + m.sum
		add(d, p, croft.PackageSPDXIdentifier, common.TypeRelationshipStaticLink)
	}
	seccomp := cLibrary{name: "libseccomp", version: b.c.seccomp, license: "LGPL-2.1-only"}
	add(d, foreign(b.c, seccomp, "libseccomp"), croft.PackageSPDXIdentifier, common.TypeRelationshipStaticLink)
	add(d, foreign(b.c, b.c.libc, "libc"), croft.PackageSPDXIdentifier, common.TypeRelationshipStaticLink)
	return d
}

func busyboxOf(b build) *spdx.Package {
	p := foreign(b.c, cLibrary{name: "busybox", version: b.busyboxVersion, license: "GPL-2.0-only"}, "busybox")
	p.PrimaryPackagePurpose, p.PackageChecksums = "APPLICATION", checksums(b.busybox)
	p.PackageComment = "croft embeds this program unchanged, as a file of its own. Who passes croft on owes its source: see NOTICE."
	return p
}

// foreign returns a package from the distribution that croft was built on.
func foreign(c cLibraries, l cLibrary, source string) *spdx.Package {
	purl := "pkg:generic/" + l.name
	if l.version != "" {
		purl += "@" + url.QueryEscape(l.version)
	}
	name, version, ok := strings.Cut(c.sources[source], "@")
	if ok && c.distribution != "" {
		purl = fmt.Sprintf("pkg:deb/%s/%s@%s?arch=source", c.distribution, name, url.QueryEscape(version))
	}
	p := component(l.name, l.version, l.license, purl)
	if ok {
		p.PackageSourceInfo = "source package of the distribution: " + name + " " + version
	}
	return p
}

// component returns a library. Its download location and copyright are not known.
func component(name, version, license, purl string) *spdx.Package {
	p := &spdx.Package{
		PackageName: name, PackageVersion: version, PackageSPDXIdentifier: identifier(name),
		PackageDownloadLocation: unknown, PackageCopyrightText: unknown,
		PackageLicenseDeclared: license, PackageLicenseConcluded: license, PrimaryPackagePurpose: "LIBRARY",
	}
	if purl != "" {
		p.PackageExternalReferences = []*spdx.PackageExternalReference{{
			Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: purl,
		}}
	}
	return p
}

// unsafe matches what identifiers of a document must not have.
var unsafe = pattern.New(`[^A-Za-z0-9.]`)

// identifier returns a name for the document, which has letters, digits, "." and "-" only.
func identifier(name string) common.ElementID {
	safe := unsafe().ReplaceAllStringFunc(name, func(c string) string {
		if c == "-" || c == "/" {
			return "-"
		}
		return "-" + hex.EncodeToString([]byte(c)) + "-"
	})
	return common.ElementID("Package-" + safe)
}

// add adds a package, and its relation to another one; "" is the document itself.
func add(d *spdx.Document, p *spdx.Package, of common.ElementID, relation string) {
	if of == "" {
		of = d.SPDXIdentifier
	}
	d.Packages = append(d.Packages, p)
	d.Relationships = append(d.Relationships, &spdx.Relationship{
		RefA: common.MakeDocElementID("", string(of)), RefB: common.MakeDocElementID("", string(p.PackageSPDXIdentifier)), Relationship: relation,
	})
}

func checksums(content []byte) []common.Checksum {
	one, two := sha1.Sum(content), sha256.Sum256(content)
	return []common.Checksum{
		{Algorithm: common.SHA1, Value: hex.EncodeToString(one[:])},
		{Algorithm: common.SHA256, Value: hex.EncodeToString(two[:])},
	}
}

func settings(all []debug.BuildSetting) string {
	var words []string
	for _, s := range all {
		words = append(words, s.Key+"="+s.Value)
	}
	return strings.Join(words, ", ")
}
