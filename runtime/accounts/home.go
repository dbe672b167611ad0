package accounts

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"croft/internal/fail"
)

// Bounds of what a home directory gets from /etc/skel.
const (
	mostSkeletons = 200
	mostSkeleton  = 1 << 20 // bytes
)

// home makes the home directory of a new user, with the files of /etc/skel.
func (p *planner) home(u user) error {
	defs, err := readFile(p.root, "/etc/login.defs")
	if err != nil {
		defs = nil
	}
	mode := fs.FileMode(number(defs, "HOME_MODE", 8, 0o700)).Perm()
	if info, err := fs.Lstat(p.root, u.home[1:]); err == nil && !info.IsDir() {
		return fail.New(fail.State, "cannot create user %s: %s inside is not a directory", u.name, u.home)
	} else if err == nil {
		return nil // it has files of its owner: none is added
	}
	p.directory(Step{Path: "/home", Mode: 0o755, ByRoot: true})
	p.directory(Step{Path: u.home, Mode: mode, UID: u.uid, GID: u.gid, ByRoot: true})
	return p.skeleton(u)
}

// directory makes a directory that is missing.
func (p *planner) directory(s Step) {
	if info, err := fs.Stat(p.root, s.Path[1:]); err == nil && info.IsDir() {
		return
	}
	s.Directory = true
	p.steps = append(p.steps, s)
}

// skeleton copies the regular files below /etc/skel.
func (p *planner) skeleton(u user) error {
	const skel = "etc/skel"
	left, bytes := mostSkeletons, 0
	err := fs.WalkDir(p.root, skel, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == skel {
			return err
		}
		if left--; left < 0 || bytes > mostSkeleton {
			return errors.New("it is too large")
		}
		to := path.Join(u.home, strings.TrimPrefix(name, skel))
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case d.IsDir():
			p.steps = append(p.steps, Step{Path: to, Directory: true, Mode: info.Mode().Perm() | 0o700, UID: u.uid, GID: u.gid})
		case d.Type().IsRegular():
			text, err := readFile(p.root, "/"+name)
			if err != nil {
				return err
			}
			bytes += len(text)
			p.steps = append(p.steps, Step{Path: to, Content: text, Mode: info.Mode().Perm(), UID: u.uid, GID: u.gid})
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail.New(fail.State, "cannot copy /etc/skel inside: %w", err)
	}
	return nil
}

// keys adds the keys to authorized_keys of the user. A key that is there stays as it
// is, with its options.
func (p *planner) keys(u user) error {
	if len(p.access.Keys) == 0 {
		return nil
	}
	if err := u.checkHome(); err != nil {
		return err
	}
	if !u.new {
		info, err := fs.Stat(p.root, u.home[1:])
		switch {
		case err == nil && !info.IsDir(), err != nil && !errors.Is(err, fs.ErrNotExist):
			return fail.New(fail.State, "the home directory of user %s inside is not a directory: %s", u.name, u.home)
		case err != nil:
			p.directory(Step{Path: u.home, Mode: 0o700, UID: u.uid, GID: u.gid, ByRoot: true})
		}
	}
	ssh := u.home + "/.ssh"
	p.directory(Step{Path: ssh, Mode: 0o700, UID: u.uid, GID: u.gid})
	file := ssh + "/authorized_keys"
	text, err := readFile(p.root, file)
	if err != nil {
		return err
	}
	l := parse(text)
	for _, key := range p.access.Keys {
		if !l.hasKey(key) {
			l = append(l, key)
		}
	}
	if !same(l, string(text)) {
		p.steps = append(p.steps, Step{Path: file, Content: l.text(), Mode: 0o600, UID: u.uid, GID: u.gid})
	}
	return nil
}

// hasKey reports whether a line has the same key, whatever its options and comment
// are.
func (l lines) hasKey(line string) bool {
	blob := blobOf(line)
	for _, other := range l {
		if other == line || blob != "" && blobOf(other) == blob {
			return true
		}
	}
	return false
}

// blobOf returns the key itself in a line of authorized_keys: all keys begin with the
// length of the name of their type, which is less than 256 (RFC 4253, section 6.6).
func blobOf(line string) string {
	for _, word := range strings.Fields(line) {
		if strings.HasPrefix(word, "AAAA") {
			return word
		}
		if strings.HasPrefix(word, "#") {
			break
		}
	}
	return ""
}
