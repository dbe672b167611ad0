package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "croft"

// arrows is who may import whom of ours; everybody may import internal/fail, internal/trace and internal/pattern.
// It names every package, and no other: docs/architecture.md draws it.
var arrows = map[string][]string{
	".":                {"cli", "cli/oci", "runtime", "runtime/sysctls"},
	"cli":              {"runtime", "cli/command", "cli/options", "cli/look", "cli/networks", "cli/snapshots", "cli/templates", "cli/oci", "cli/cmdline", "cli/cmdline/roff", "cli/display", "cli/prometheus", "cli/settings", "cli/values", "internal/ssh", "internal/vps", "internal/signame", "internal/sizes"},
	"cli/command":      {"runtime", "cli/cmdline", "cli/display", "cli/settings", "cli/values", "internal/vps", "internal/sizes"},
	"cli/options":      {"runtime", "cli/command", "cli/cmdline", "cli/settings", "cli/values", "internal/vps"},
	"cli/look":         {"runtime", "cli/command", "cli/cmdline", "cli/display", "cli/options", "cli/prometheus", "cli/values", "internal/vps", "internal/sizes"},
	"cli/networks":     {"runtime", "cli/command", "cli/cmdline", "cli/display", "cli/options", "cli/values", "internal/vps"},
	"cli/snapshots":    {"runtime", "cli/command", "cli/cmdline", "cli/display", "cli/look", "cli/options", "cli/settings", "cli/values", "internal/vps"},
	"cli/templates":    {"runtime", "cli/command", "cli/cmdline", "cli/display", "cli/options", "cli/values", "internal/vps", "internal/sizes"},
	"cli/oci":          {"cli/cmdline", "runtime/container", "runtime/streams", "internal/signame"},
	"cli/cmdline":      {"cli/cmdline/roff"},
	"cli/cmdline/roff": nil,
	"cli/display":      {"internal/sizes"},
	"cli/prometheus":   {"runtime"},
	"cli/settings":     {"internal/vps"},
	"cli/values":       {"runtime", "internal/vps", "internal/signame", "internal/sizes"},
	"runtime": {
		"bundles", "network", "network/guest", "network/host", "template", "template/backups", "template/layer", "template/recipe", "template/rootfs", "template/signatures", "template/trust", "internal/state", "internal/vps",
		"runtime/container", "runtime/holder", "runtime/console", "runtime/hostcheck", "internal/inside", "internal/nsthread",
		"internal/inherited", "internal/initkind", "internal/proc", "runtime/inits", "runtime/streams",
		"runtime/guests", "runtime/command", "runtime/hostfacts", "runtime/sysctls", "runtime/paths", "runtime/observe", "runtime/filecopy", "runtime/tables", "runtime/endreason", "runtime/restarts", "runtime/events", "runtime/hooks", "runtime/firstboot", "runtime/consolelog", "runtime/look", "runtime/names", "runtime/monitorlog", "internal/undo", "runtime/hostnet", "runtime/diskuse", "runtime/trash", "runtime/snapshots", "runtime/hostdevices", "runtime/mounts", "runtime/hostlimits", "runtime/doctor", "template/rootfs/tree", "template/rootfs/diskfile", "template/rootfs/quotadir", "runtime/fit", "internal/atomicfile", "runtime/backup", "runtime/moves", "runtime/checkpoint", "runtime/foreign", "runtime/foreign/source", "runtime/rebase", "runtime/reinstall",
	},
	"runtime/filecopy":   {"internal/nsthread", "template/layer"},
	"runtime/mounts":     {"internal/inside", "internal/nsthread", "internal/proc", "internal/userns", "internal/vps"},
	"runtime/streams":    nil,
	"runtime/diskuse":    nil,
	"runtime/snapshots":  {"internal/state", "internal/vps"},
	"runtime/backup":     {"internal/fail", "internal/state", "internal/vps"},
	"runtime/moves":      {"internal/fail", "internal/state", "internal/vps"},
	"runtime/checkpoint": {"bundles", "internal/inside", "internal/state"},
	"runtime/trash":      {"internal/state", "internal/vps"},
	"runtime/rebase":     nil,
	"runtime/reinstall":  {"internal/fail", "internal/vps"},
	// Containers of other tools.
	"runtime/foreign":        {"internal/vps"},
	"runtime/foreign/source": {"runtime/foreign", "template/layer"},

	"runtime/hostfacts": {"bundles", "internal/userns", "internal/vps", "network/guest", "runtime/container"},
	"runtime/names":     {"internal/inside", "internal/state", "internal/vps", "network", "network/guest", "runtime/observe", "runtime/paths", "runtime/tables"},
	"runtime/look": {
		"bundles", "internal/initkind", "internal/inside", "internal/proc", "internal/state", "internal/vps", "network", "runtime/consolelog",
		"runtime/container", "runtime/endreason", "runtime/firstboot", "runtime/hostfacts", "runtime/inits", "runtime/observe", "runtime/paths", "runtime/tables", "runtime/diskuse", "template/rootfs/diskfile", "template/rootfs/quotadir",
	},
	"runtime/hostnet":     {"internal/inside", "internal/vps", "network", "network/host"},
	"runtime/hostdevices": {"bundles", "internal/vps"},
	"runtime/monitorlog":  nil,
	"runtime/sysctls":     nil,
	"runtime/endreason":   {"internal/state", "runtime/holder"},
	"runtime/restarts":    {"internal/state", "internal/vps", "runtime/endreason"},
	"runtime/events":      {"internal/vps", "runtime/holder"},
	"runtime/hooks":       {"internal/vps"},
	"runtime/firstboot":   {"internal/atomicfile", "internal/state"},
	"runtime/consolelog":  nil,
	"runtime/tables":      {"internal/state", "internal/vps", "network"},
	"runtime/observe":     {"internal/inside", "internal/proc", "internal/state", "internal/vps"},
	"runtime/paths":       {"bundles", "internal/state", "internal/vps"},
	"runtime/guests":      {"internal/state", "runtime/checkpoint", "bundles", "internal/initkind", "internal/inside", "internal/nsthread", "internal/userns", "internal/vps", "network/guest", "runtime/accounts", "runtime/fit", "runtime/holder/fuse", "runtime/holder/protocol", "runtime/seeds", "template/rootfs"},
	"runtime/accounts":    {"internal/vps"},
	"runtime/seeds":       {"internal/vps"},
	"runtime/fit":         {"internal/identity", "internal/initkind", "internal/vps", "network/guest"},
	"runtime/command":     {"internal/inside", "runtime/holder", "runtime/inits", "template"},
	"runtime/inits":       {"internal/signame", "internal/initkind", "internal/inside", "internal/proc"},
	"bundles":             {"internal/vps", "internal/atomicfile"},
	"network":             {"internal/vps"},
	"network/host":        {"network", "internal/inside", "internal/nsthread", "internal/vps", "internal/flock"},
	"network/guest":       nil,
	"template": {
		"template/archive", "template/backups", "template/blobs", "template/busybox", "template/confine", "template/egress", "template/facts", "template/images", "template/layer", "template/qcow2", "template/recipe", "template/registry", "template/rootfs", "template/rootfs/tree", "template/signatures", "template/streams", "template/transfer", "template/trust",
		"internal/initkind", "internal/nsthread", "internal/atomicfile",
	},
	"template/images": {
		"template/facts", "template/layer", "template/recipe", "template/registry", "template/rootfs",
		"internal/atomicfile", "internal/flock", "internal/initkind", "internal/removetree",
	},
	"template/facts":               {"internal/initkind", "template/layer"},
	"template/archive":             {"template/facts", "template/images", "template/layer", "template/qcow2", "template/rootfs/diskfile", "template/streams"},
	"template/qcow2":               {"template/confine", "template/layer", "template/recipe/hostpackages", "internal/sizes"},
	"template/blobs":               {"internal/flock", "template/images", "template/layer", "template/registry", "template/signatures", "template/transfer"},
	"template/backups":             {"internal/atomicfile", "template/archive", "template/blobs", "template/images", "template/layer", "template/layer/delta", "template/registry", "template/rootfs", "template/rootfs/tree", "template/signatures", "template/transfer", "template/trust"},
	"template/layer":               {"template/layer/delta", "internal/identity", "internal/removetree"},
	"template/layer/delta":         nil,
	"template/rootfs":              {"template/layer", "template/rootfs/diskfile", "internal/nsthread", "internal/removetree", "internal/userns"},
	"template/rootfs/diskfile":     {"internal/flock", "internal/nsthread"},
	"template/rootfs/quotadir":     {"template/rootfs/diskfile"},
	"template/rootfs/tree":         {"template/layer", "template/rootfs", "internal/removetree"},
	"template/recipe":              {"template/busybox", "template/confine", "template/layer", "template/recipe/hostpackages", "internal/initkind"},
	"template/recipe/hostpackages": nil,
	"template/confine":             {"template/layer", "internal/nsthread"},
	"template/busybox":             {"template/layer"},
	"template/roottest":            {"internal/nsthread"},
	"template/registry":            {"template/transfer"},
	"template/streams":             {"template/transfer", "internal/atomicfile"},
	"template/transfer":            nil,
	"template/reference":           nil,
	"template/trust":               {"template/reference"},
	"template/trust/cosigner":      nil,
	"template/signatures":          {"template/reference", "template/registry", "template/transfer", "template/trust"},
	"template/egress":              {"internal/nsthread"},
	"template/streams/imageserver": nil,
	"runtime/container":            {"internal/nsthread", "internal/inherited", "internal/flock", "internal/atomicfile"},
	"runtime/holder":               {"runtime/holder/protocol", "internal/atomicfile"},
	"runtime/holder/program":       {"runtime/holder/protocol", "runtime/holder/fuse", "runtime/holder/kmsg", "runtime/holder/oom", "runtime/holder/view"},
	"runtime/holder/fuse":          nil,
	"runtime/holder/kmsg":          {"runtime/holder/fuse"},
	"runtime/holder/oom":           nil,
	"runtime/holder/view":          nil,
	"runtime/holder/protocol":      nil,
	"runtime/console":              {"runtime/holder/protocol"},
	"runtime/hostcheck":            {"runtime/hostlimits"},
	"runtime/hostlimits":           nil,
	"runtime/doctor":               {"internal/sizes", "internal/vps"},
	"internal/state":               {"internal/vps", "internal/flock", "internal/atomicfile", "internal/removetree"},
	"internal/vps":                 nil,
	"internal/inside":              {"internal/nsthread", "internal/proc"},
	"internal/nsthread":            nil,
	"internal/initkind":            nil,
	"internal/undo":                nil,
	"internal/userns":              nil,
	"internal/proc":                nil,
	"internal/atomicfile":          nil,
	"internal/flock":               nil,
	"internal/signame":             nil,
	"internal/sizes":               nil,
	"internal/ssh":                 nil,
	"internal/removetree":          nil,
	"internal/identity":            nil,
	"internal/fail":                nil,
	"internal/trace":               nil,
	"internal/pattern":             nil,
	"internal/inherited":           nil,
	"integration":                  nil,
	"integration/attack":           nil,
	"integration/guests":           nil,
	"integration/guests/page":      {"integration/guests"},
	"integration/vm":               nil,
	"integration/conformance":      {"integration/cgroups", "integration/modules", "integration/scratch"},
	"integration/bench":            {"integration/cgroups", "integration/modules", "integration/scratch"},
	"integration/cgroups":          nil,
	"integration/scratch":          {"integration/cgroups"},
	"integration/modules":          nil,
	"packaging/licenses":           {"internal/pattern"},
	"packaging/sbom":               {"packaging/licenses", "template/busybox"},
}

// aids are packages that every test may import.
var aids = []string{"integration/attack", "integration/guests", "template/roottest", "template/streams/imageserver", "template/trust/cosigner", "internal/flock"}

// alone is who may import what of others', with everything below it.
var alone = map[string][]string{
	"github.com/opencontainers/runc":         {"runtime/container", "."}, // main: libcontainer re-executes it as init
	"github.com/checkpoint-restore/go-criu":  {"runtime/checkpoint"},
	"github.com/opencontainers/cgroups":      {"runtime/container"},
	"github.com/urfave/cli":                  {"cli/cmdline"},
	"github.com/cilium/ebpf":                 {"network", "network/host"},
	"github.com/coreos/go-iptables":          {"network/host"},
	"github.com/google/nftables":             {"network", "network/host"},
	"github.com/vishvananda/netlink":         {"network/host", "template/egress"},
	"github.com/google/go-cmp":               nil, // tests
	"github.com/rogpeppe/go-internal":        nil,
	"github.com/go-crypt/crypt":              {"cli/values"},
	"golang.org/x/crypto":                    {"cli/values"},
	"go.yaml.in/yaml":                        {"cli/settings", "runtime/foreign", "template/recipe", "template/signatures", "template/streams", "template/trust"},
	"github.com/opencontainers/image-spec":   {"template", "template/archive", "template/backups", "template/blobs", "template/images", "template/registry", "template/signatures", "template/streams"},
	"github.com/google/go-containerregistry": {"template/registry"},
	"github.com/sigstore/sigstore":           {"template/trust"},
	"github.com/spdx":                        {"packaging/sbom"},
	"github.com/cyberphone":                  {"template/trust"},
}

// pure packages decide and do not act. They read no file, open no socket and
// start no program, so their results depend on their arguments alone.
var pure = []string{"internal/fail", "internal/initkind", "internal/vps", "network", "network/guest", "runtime/accounts", "runtime/seeds", "runtime/fit", "internal/identity", "runtime/endreason", "runtime/restarts", "runtime/doctor", "runtime/foreign", "cli/cmdline", "cli/cmdline/roff", "cli/prometheus", "internal/signame", "internal/sizes", "internal/ssh", "template/layer/delta", "template/recipe/hostpackages", "template/reference", "template/trust"}

// acting is what a pure package does not import, and which names it may use
// nevertheless: constants, and types of values.
var acting = map[string]*regexp.Regexp{
	"os": nil, "os/exec": nil, "os/signal": nil, "io/ioutil": nil, "net/http": nil,
	"net":                            regexp.MustCompile(`^(HardwareAddr|ParseMAC|IP|IPNet|IPMask|CIDRMask)$`),
	"syscall":                        regexp.MustCompile(`^([A-Z0-9_]+|Errno|Signal|WaitStatus)$`),
	"golang.org/x/sys/unix":          regexp.MustCompile(`^[A-Z0-9_]+$`),
	"github.com/google/nftables":     nil,
	"github.com/vishvananda/netlink": nil,
	"github.com/cilium/ebpf":         nil,
}

func TestPurePackages(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || !slices.Contains(pure, s.dir) {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), s.path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		allowed := map[string]*regexp.Regexp{} // by the name that the file has for the package
		for _, i := range f.Imports {
			name, _ := strconv.Unquote(i.Path.Value)
			names, found := acting[name]
			switch {
			case !found:
			case names == nil:
				t.Errorf("%s: a pure package must not import %s", s.path, name)
			default:
				allowed[path.Base(name)] = names
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && allowed[x.Name] != nil && !allowed[x.Name].MatchString(sel.Sel.Name) {
				t.Errorf("%s: a pure package must not use %s.%s", s.path, x.Name, sel.Sel.Name)
			}
			return true
		})
	}
}

// A source is one Go file of ours.
type source struct {
	path, dir string // below the top, dir "." there
	test      bool
	file      *ast.File
}

// sources parses every Go file, whatever its build tags. It asks the files and
// not go list: go test cannot know what a child has read, and would answer
// from its cache.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	files := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			if name != "." && (base == "testdata" || base[0] == '.' || base[0] == '_') {
				return filepath.SkipDir // as the go command has it
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parser.ParseFile(files, name, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		all = append(all, source{path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), file: f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (s source) imports(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, i := range s.file.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, name)
	}
	return all
}

// forAll are the packages that every package may import.
var forAll = []string{"internal/fail", "internal/trace", "internal/pattern"}

func TestArrows(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sources(t) {
		allowed, known := arrows[s.dir]
		seen[s.dir] = true
		if !known {
			t.Errorf("%s: package %s is not in the design", s.path, s.dir)
		}
		for _, name := range s.imports(t) {
			ours, ok := strings.CutPrefix(name, module+"/")
			if !ok || slices.Contains(forAll, ours) || s.test && (ours == s.dir || slices.Contains(aids, ours)) {
				continue
			}
			if !slices.Contains(allowed, ours) {
				t.Errorf("%s: %s must not import %s", s.path, s.dir, ours)
			}
		}
	}
	for dir := range arrows {
		if !seen[dir] {
			t.Errorf("the design has a package %s, and there is none", dir)
		}
	}
}

func TestForeignImports(t *testing.T) {
	used := map[string]bool{}
	for _, s := range sources(t) {
		for _, name := range s.imports(t) {
			for prefix, allowed := range alone {
				if name != prefix && !strings.HasPrefix(name, prefix+"/") {
					continue
				}
				used[prefix] = true
				if !s.test && !slices.Contains(allowed, s.dir) {
					t.Errorf("%s: %s must not import %s", s.path, s.dir, name)
				}
			}
		}
	}
	for prefix := range alone {
		if !used[prefix] {
			t.Errorf("no package imports %s: the rule about it is not needed", prefix)
		}
	}
}

func TestPackageComments(t *testing.T) {
	comments := map[string][]string{}
	for _, s := range sources(t) {
		if s.test && s.file.Doc == nil {
			continue
		}
		if _, ok := comments[s.dir]; !ok {
			comments[s.dir] = nil
		}
		if s.file.Doc != nil && strings.TrimSpace(s.file.Doc.Text()) != "" {
			comments[s.dir] = append(comments[s.dir], s.path)
		}
	}
	for dir, files := range comments {
		if len(files) != 1 {
			t.Errorf("package %s has %d package comments, not one: %v", dir, len(files), files)
		}
	}
}

func TestPackageNames(t *testing.T) {
	for _, s := range sources(t) {
		for _, bad := range []string{"util", "common", "helper", "misc"} {
			if strings.Contains(s.file.Name.Name, bad) {
				t.Errorf("%s: package %s is called after nothing that it is for", s.path, s.file.Name.Name)
			}
		}
	}
}

func TestNoReplace(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if word, _, _ := strings.Cut(strings.TrimSpace(line), " "); word == "replace" || word == "exclude" {
			t.Errorf("go.mod: %s: croft has to build of what everybody can get", strings.TrimSpace(line))
		}
	}
}

// The binary executes itself at every start and exec: what a package does
// before main it does each time. The holder is another binary.
func TestNoInit(t *testing.T) {
	files := token.NewFileSet()
	for _, s := range sources(t) {
		if s.test || s.dir == "runtime/holder/program" {
			continue
		}
		f, err := parser.ParseFile(files, s.path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: func init", s.path)
			}
		}
	}
}

// A vps.Name is valid because ParseName has made it. Few files convert text by
// themselves: each says why the name is valid.
func TestNamesAreParsed(t *testing.T) {
	converting := []string{"network/claims.go", "runtime/run.go"}
	files := token.NewFileSet()
	for _, s := range sources(t) {
		if s.test || slices.Contains(converting, s.path) {
			continue
		}
		f, err := parser.ParseFile(files, s.path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if to, ok := call.Fun.(*ast.SelectorExpr); ok && to.Sel.Name == "Name" {
				if x, ok := to.X.(*ast.Ident); ok && x.Name == "vps" {
					t.Errorf("%s: use vps.ParseName, not a conversion to vps.Name", files.Position(call.Pos()))
				}
			}
			return true
		})
	}
}

// A regular expression that is compiled before main begins costs each process of a start.
func TestPatterns(t *testing.T) {
	early := regexp.MustCompile(`(?m)^(var |\t)\w+ += regexp\.MustCompile`)
	for _, s := range sources(t) {
		if s.test || strings.HasPrefix(s.dir, "integration") {
			continue
		}
		text, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		if early.Match(text) {
			t.Errorf("%s: use internal/pattern", s.path)
		}
	}
}
