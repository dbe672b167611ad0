package command

import (
	"bytes"
	"fmt"

	"github.com/moby/sys/user"

	"croft/internal/fail"
	"croft/internal/inside"
)

// An Account is a user of a VPS.
type Account struct {
	*user.ExecUser
	Name string
}

func (a *Account) String() string { return fmt.Sprintf("%s %d:%d %s", a.Name, a.Uid, a.Gid, a.Home) }

// rootAccount is root of a VPS whose own files cannot be read.
func rootAccount() *Account {
	return &Account{ExecUser: &user.ExecUser{Home: "/root"}, Name: "root"}
}

// FindAccount finds who, NAME|UID[:GROUP|GID], in passwd(5) and group(5) below
// root. Empty is root. It is fail.Usage if there is no such user.
func FindAccount(root *inside.Root, who string) (*Account, error) {
	passwd, err := root.Read("/etc/passwd", inside.MaxRead)
	if err != nil {
		return nil, err
	}
	group, err := root.Read("/etc/group", inside.MaxRead)
	if err != nil {
		return nil, err
	}
	found, err := user.GetExecUser(who, &user.ExecUser{}, bytes.NewReader(passwd), bytes.NewReader(group))
	if err != nil {
		return nil, fail.New(fail.Usage, "no user %q inside: %w", who, err)
	}
	a := &Account{ExecUser: found, Name: "root"}
	if found.Uid != 0 {
		a.Name = fmt.Sprint(found.Uid)
	}
	switch {
	case found.Home == "" && found.Uid == 0: // not even a passwd(5)
		found.Home = "/root"
	case found.Home == "":
		found.Home = "/"
	}
	users, err := user.ParsePasswdFilter(bytes.NewReader(passwd), func(u user.User) bool { return u.Uid == found.Uid })
	if err == nil && len(users) > 0 {
		a.Name = users[0].Name
	}
	return a, nil
}

// LoginShell returns the shell of a user; /bin/sh if that is missing.
func LoginShell(root *inside.Root, who string) (string, error) {
	account, err := FindAccount(root, who)
	if err != nil {
		return "", err
	}
	passwd, err := root.Read("/etc/passwd", inside.MaxRead)
	if err != nil {
		return "", err
	}
	users, err := user.ParsePasswdFilter(bytes.NewReader(passwd), func(u user.User) bool { return u.Uid == account.Uid })
	if err == nil && len(users) > 0 && users[0].Shell != "" {
		if _, ok := root.Program(users[0].Shell); ok {
			return users[0].Shell, nil
		}
	}
	return "/bin/sh", nil
}
