// Package accounts decides what the account files of a VPS have to contain so that a
// user can log in: passwd(5), group(5), shadow(5), gshadow(5) and authorized_keys
// (sshd(8)). It reads a file system and returns files to write; it writes nothing.
package accounts

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"croft/internal/fail"
	"croft/internal/vps"
)

// A Plan is what has to be written, in this order: a login can succeed only when all
// is there, and a plan that was carried out in part can be made again.
type Plan struct {
	Steps []Step
}

// A Step is one directory or file to write. An existing file keeps its mode and its
// owner, and an existing directory stays as it is.
type Step struct {
	Path      string // absolute, inside the VPS
	Directory bool
	Content   []byte
	Mode      fs.FileMode // of a new one
	UID, GID  uint32      // owner of a new one, inside the VPS
	ByRoot    bool        // root makes the directory; all other steps are the owner's
}

// most is more than any of these files has, in bytes.
const most = 8 << 20

// For returns what gives a access, on the day now. root is the file system of the VPS.
// It is fail.State if the files of the VPS do not allow it.
func For(root fs.FS, a vps.Access, now time.Time) (Plan, error) {
	if err := a.Check(); err != nil {
		return Plan{}, err
	}
	p := &planner{root: root, access: a, day: strconv.FormatInt(now.Unix()/(24*60*60), 10)}
	if err := p.read(); err != nil {
		return Plan{}, err
	}
	u, err := p.user()
	if err != nil {
		return Plan{}, err
	}
	if err := p.join(u); err != nil {
		return Plan{}, err
	}
	if u.new || a.Hash != "" || len(a.Keys) > 0 {
		p.password(u)
	}
	p.writeGroups()
	if u.new {
		if err := p.home(u); err != nil {
			return Plan{}, err
		}
	}
	p.write("/etc/passwd", p.passwd, 0o644)
	if err := p.keys(u); err != nil {
		return Plan{}, err
	}
	return Plan{p.steps}, nil
}

// A planner is one call of For.
type planner struct {
	root   fs.FS
	access vps.Access
	day    string // since 1970

	passwd, group, shadow, gshadow lines
	former                         map[string]string // the content of these files before
	steps                          []Step
}

// A user is an entry of passwd(5).
type user struct {
	name     string
	uid, gid uint32
	home     string
	new      bool
}

func (p *planner) read() error {
	p.former = map[string]string{}
	for name, l := range map[string]*lines{"/etc/passwd": &p.passwd, "/etc/group": &p.group, "/etc/shadow": &p.shadow, "/etc/gshadow": &p.gshadow} {
		text, err := readFile(p.root, name)
		if err != nil {
			return err
		}
		*l, p.former[name] = parse(text), string(text)
	}
	return nil
}

// readFile returns the content of the file name, nil if it is missing. A link is
// refused: croft would replace it and not what it leads to.
func readFile(root fs.FS, name string) ([]byte, error) {
	refused := func(err error) error { return fail.New(fail.State, "cannot read %s inside: %w", name, err) }
	info, err := fs.Lstat(root, name[1:])
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, refused(err)
	case info.Mode().Type() == fs.ModeSymlink:
		return nil, refused(errors.New("it is a link"))
	case !info.Mode().IsRegular():
		return nil, refused(errors.New("it is not a regular file"))
	}
	f, err := root.Open(name[1:])
	if err != nil {
		return nil, refused(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, refused(err)
	}
	if len(text) > most {
		return nil, refused(fmt.Errorf("it is larger than %d bytes", most))
	}
	return text, nil
}

// user returns the user who gets access, and adds a missing one to passwd and group.
func (p *planner) user() (user, error) {
	name := p.access.Name()
	fields := p.passwd.fields(name)
	if fields == nil && name == "root" {
		fields = []string{"root", "x", "0", "0", "root", "/root", "/bin/sh"}
		p.passwd.set(name, fields)
	}
	if fields == nil {
		return p.newUser(name)
	}
	fields = padded(fields, 7)
	uid, err1 := strconv.ParseUint(fields[2], 10, 32)
	gid, err2 := strconv.ParseUint(fields[3], 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return user{}, fail.New(fail.State, "cannot read /etc/passwd inside: the entry of %s is invalid", name)
	}
	return user{name: name, uid: uint32(uid), gid: uint32(gid), home: fields[5]}, nil
}

func (p *planner) newUser(name string) (user, error) {
	defs, err := readFile(p.root, "/etc/login.defs")
	if err != nil {
		defs = nil
	}
	first, last := number(defs, "UID_MIN", 10, 1000), number(defs, "UID_MAX", 10, 60000)
	uid, gid, own := uint64(0), uint64(0), p.group.fields(name)
	if own != nil {
		if gid, err = strconv.ParseUint(padded(own, 4)[2], 10, 32); err != nil || gid < first || padded(own, 4)[3] != "" || p.passwd.column(3)[own[2]] {
			return user{}, fail.New(fail.State, "cannot create user %s: a group of that name exists inside", name)
		}
	}
	uids, gids := p.passwd.column(2), p.group.column(2)
	for n := first; n <= last && uid == 0; n++ {
		if id := strconv.FormatUint(n, 10); !uids[id] && (own != nil || !gids[id]) {
			uid = n
		}
	}
	if uid == 0 {
		return user{}, fail.New(fail.State, "cannot create user %s: no user id from %d to %d is free inside", name, first, last)
	}
	if own == nil {
		gid = uid
		p.group.set(name, []string{name, "x", strconv.FormatUint(gid, 10), ""})
	}
	if p.former["/etc/gshadow"] != "" && p.gshadow.find(name) < 0 {
		p.gshadow.set(name, []string{name, "!", "", ""})
	}
	u := user{name: name, uid: uint32(uid), gid: uint32(gid), home: "/home/" + name, new: true}
	p.passwd.set(name, []string{name, "x", strconv.FormatUint(uid, 10), strconv.FormatUint(gid, 10), "", u.home, p.shell()})
	return u, nil
}

// shell is the login shell of a new user.
func (p *planner) shell() string {
	if info, err := fs.Stat(p.root, "bin/bash"); err == nil && info.Mode().IsRegular() {
		return "/bin/bash"
	}
	return "/bin/sh"
}

// number returns the value of name in login.defs(5), or other.
func number(defs []byte, name string, base int, other uint64) uint64 {
	for line := range strings.Lines(string(defs)) {
		if words := strings.Fields(line); len(words) >= 2 && words[0] == name {
			if n, err := strconv.ParseUint(words[1], base, 32); err == nil && n > 0 {
				return n
			}
		}
	}
	return other
}

// join makes the user a member of the groups.
func (p *planner) join(u user) error {
	for _, group := range p.access.Groups {
		if p.group.find(group) < 0 {
			return fail.New(fail.State, "no group %s inside", group)
		}
		p.group.addMember(group, 3, u.name)
		p.gshadow.addMember(group, 3, u.name)
	}
	return nil
}

// password sets the password. Without one a new user has none that could match ("*").
// So has a user with a key whose password was only locked: sshd without PAM takes
// "!" for a locked account and refuses the key too.
func (p *planner) password(u user) {
	entry := p.shadow.fields(u.name)
	if entry == nil {
		own := "*"
		if fields := padded(p.passwd.fields(u.name), 2); !u.new && fields[1] != "x" {
			own = fields[1]
		}
		entry = []string{u.name, own, p.day, "0", "99999", "7", "", "", ""}
	}
	entry = padded(entry, 9)
	switch locked := strings.Trim(entry[1], "!*") == "" && entry[1] != ""; {
	case p.access.Hash != "":
		entry[1], entry[2] = p.access.Hash, p.day
	case u.new, locked && len(p.access.Keys) > 0:
		entry[1] = "*"
	default:
		return
	}
	p.shadow.set(u.name, entry)
	fields := padded(p.passwd.fields(u.name), 7)
	fields[1] = "x"
	p.passwd.set(u.name, fields)
}

func (p *planner) writeGroups() {
	p.write("/etc/group", p.group, 0o644)
	p.write("/etc/gshadow", p.gshadow, 0o600)
	p.write("/etc/shadow", p.shadow, 0o600)
}

// write writes a file of root that has changed.
func (p *planner) write(name string, l lines, mode fs.FileMode) {
	if text := l.text(); string(text) != p.former[name] && len(l) > 0 && !same(l, p.former[name]) {
		p.steps = append(p.steps, Step{Path: name, Content: text, Mode: mode})
	}
}

// same reports whether text has the lines l, with or without an end of the last one.
func same(l lines, text string) bool {
	return string(l.text()) == strings.TrimSuffix(text, "\n")+"\n"
}

// checkHome refuses a home directory in which no file can be created.
func (u user) checkHome() error {
	if !path.IsAbs(u.home) || path.Clean(u.home) != u.home || u.home == "/" {
		return fail.New(fail.State, "user %s has no home directory inside: it is %q", u.name, u.home)
	}
	return nil
}
