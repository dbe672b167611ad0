// Package guest decides the content of files inside a VPS that would otherwise
// contradict its name, its resolvers and its addresses: /etc/hostname, its line
// in /etc/hosts, resolv.conf, lines of an inittab for devices that a VPS does
// not have, and the configuration of the distribution's network service. It
// reads a file system and returns changes; it writes nothing.
//
// A file with "managed by croft" in its first line belongs to croft, and is
// rewritten at each start. A file without that line belongs to the user and is
// not changed. Only the first start of a VPS replaces the template's files,
// because no user has changed them yet.
package guest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"croft/internal/fail"
)

// marker is in the first line of each file that belongs to croft, and at the
// end of each line that croft adds to another file.
const marker = "managed by croft"

// header is the first lines of a file that belongs to croft. "#" begins a
// comment in all its formats.
const header = "# " + marker + ": rewritten at each start. Take this line out to keep the file as it is.\n"

// Settings are the settings of the VPS that its files contain.
type Settings struct {
	Hostname    string // "" leaves hostname and hosts alone
	Hosts       []Host // VPSs that it reaches by name, in the order of their lines
	Interfaces  []Interface
	Servers     []netip.Addr // resolvers; none leaves resolv.conf alone
	Search      []string
	Routing     bool   // the host adds routes or rules, which the network service must leave alone
	Init        string // which of the inits whose files are fitted it boots: InitBusybox, InitSysVinit, InitRunit, InitOpenRC; "" is another
	KeepConsole bool   // the inittab, and the services of runit, stay as they are
	TmpSize     string // mount options that bound a tmpfs on /tmp; "" leaves it alone
	First       bool   // this VPS has never been started
}

// An Interface is a link inside, with its addresses.
type Interface struct {
	Name      string // eth0
	Addresses []netip.Prefix
	Gateways  []netip.Addr   // at most one of each family
	Near      []netip.Prefix // prefixes that are reached by the gateways, if not everything is
	MTU       int            // 0 leaves the kernel's
	Routes    []string       // more of them, in words of ip-route(8)
}

// A File is one to write: whole, with its directories, owned by the VPS's
// root, and renamed over whatever stands there, a link included.
type File struct {
	Path    string // absolute, inside the VPS
	Mode    fs.FileMode
	Content []byte
}

// Changes are what makes the files match the settings.
type Changes struct {
	Files  []File   // sorted by path; those that are right already are not among them
	Remove []string // croft's files that no setting needs any more
	Kept   []string // files that are the user's and stay as they are

	// Unreadable are files that exist and cannot be read, with the reason, by
	// their path. They stay as they are.
	Unreadable map[string]error
}

// Files looks at root, the VPS's file system, and returns what to change.
// It reads no link that leads out of root if root does not (os.Root does
// not). An error is a setting that cannot be written, with fail.Usage: no file
// of the VPS can cause one.
func Files(root fs.FS, s Settings) (Changes, error) {
	if err := s.check(); err != nil {
		return Changes{}, err
	}
	w := &writer{root: root, first: s.First}
	for _, part := range []func(*writer, Settings){
		names, fstab, tmp, inittab, runit, hostKeys, resolver, ifupdown, networkd, netplan, networkManager, ifcfg, wicked,
	} {
		part(w, s)
	}
	slices.SortFunc(w.out.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	slices.Sort(w.out.Remove)
	slices.Sort(w.out.Kept)
	w.out.Kept = slices.Compact(w.out.Kept)
	return w.out, nil
}

// check refuses what would be more than one word in a file.
func (s Settings) check() error {
	words := append([]string{s.Hostname}, s.Search...)
	for _, h := range s.Hosts {
		words = append(words, h.Name)
	}
	for _, i := range s.Interfaces {
		if i.Name == "" {
			return fail.New(fail.Usage, "an interface has no name")
		}
		words = append(words, i.Name)
	}
	for _, word := range words {
		if strings.ContainsFunc(word, badInWord) {
			return fail.New(fail.Usage, "invalid name %q", word)
		}
	}
	return nil
}

// badInWord reports whether r cannot be in a name that is a word of a file.
func badInWord(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune(`"'#;=[]/\$`+"`", r)
}

// A writer collects changes.
type writer struct {
	root  fs.FS
	first bool
	out   Changes
}

// maxFile is more than any of these files has; larger ones are the user's.
const maxFile = 1 << 20

// A current is what stands at a path now.
type current struct {
	exists  bool
	usable  bool   // an ordinary file of an ordinary size
	link    string // where it points, if it is a link
	content []byte
}

func (c current) ours() bool {
	line, _, _ := bytes.Cut(c.content, []byte("\n"))
	return c.usable && bytes.Contains(line, []byte(marker))
}

func (w *writer) look(path string) current {
	info, err := fs.Lstat(w.root, path)
	if err != nil {
		return current{exists: w.note(path, err)}
	}
	c := current{exists: true}
	if info.Mode()&fs.ModeSymlink != 0 {
		c.link, err = fs.ReadLink(w.root, path)
		w.note(path, err)
		return c
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return c
	}
	f, err := w.root.Open(path)
	if err != nil {
		w.note(path, err)
		return c
	}
	defer f.Close()
	c.content, err = io.ReadAll(io.LimitReader(f, maxFile))
	w.note(path, err)
	c.usable = err == nil
	return c
}

// note keeps an error that is not just a path that leads nowhere, or through
// a link out of the VPS: for us that is the same. It reports whether it did.
func (w *writer) note(path string, err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) || errno == syscall.ENOENT || errno == syscall.ENOTDIR || errno == syscall.ELOOP {
		return false
	}
	if w.out.Unreadable == nil {
		w.out.Unreadable = map[string]error{}
	}
	w.out.Unreadable["/"+path] = err
	return true
}

// has reports whether one of the paths is there, as whatever.
func (w *writer) has(paths ...string) bool {
	return slices.ContainsFunc(paths, func(path string) bool {
		_, err := fs.Lstat(w.root, path)
		return err == nil
	})
}

// program reports whether a program is where system programs are.
func (w *writer) program(name string) bool {
	return w.has("usr/sbin/"+name, "sbin/"+name, "usr/bin/"+name, "bin/"+name)
}

// put writes a whole file that belongs to croft, unless the user owns it.
func (w *writer) put(path string, mode fs.FileMode, content string) {
	now := w.look(path)
	switch {
	case now.exists && !now.ours() && !w.first, now.exists && !now.usable && now.link == "":
		w.keep(path)
	default:
		w.write(now, path, mode, header+content)
	}
}

func (w *writer) write(now current, path string, mode fs.FileMode, content string) {
	if !now.usable || string(now.content) != content {
		w.out.Files = append(w.out.Files, File{"/" + path, mode, []byte(content)})
	}
}

func (w *writer) keep(path string) { w.out.Kept = append(w.out.Kept, "/"+path) }

// drop removes a file if it is ours.
func (w *writer) drop(path string) {
	if w.look(path).ours() {
		w.out.Remove = append(w.out.Remove, "/"+path)
	}
}

func (i Interface) of(four bool) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(i.Addresses), func(p netip.Prefix) bool { return p.Addr().Is4() != four })
}

func (i Interface) gateway(four bool) netip.Addr {
	for _, g := range i.Gateways {
		if g.Is4() == four {
			return g
		}
	}
	return netip.Addr{}
}

func join[T fmt.Stringer](list []T, sep string) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = v.String()
	}
	return strings.Join(words, sep)
}
