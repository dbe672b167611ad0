package recipe

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"al.essio.dev/pkg/shellescape"
)

func (r Recipe) userFlaws() flaws {
	var f flaws
	for i, u := range r.Users {
		at := path("users", i)
		if !isAccount(u.Name) {
			f.add(at, "users: invalid name %q", u.Name)
		}
		for _, g := range u.Groups {
			if !isAccount(g) {
				f.add(at, "users: invalid group %q of %s", g, u.Name)
			}
		}
		for _, p := range []string{u.Shell, u.Home} {
			if p != "" && !isCleanPath(p) {
				f.add(at, "users: %s: path %q is not absolute, or invalid", u.Name, p)
			}
		}
	}
	return f
}

// isAccount reports whether name can be a user or a group. It may be a variable.
func isAccount(name string) bool { return isWord(withoutVariables(name), "_-.") }

// isCleanPath reports whether p is an absolute path without . and .. that /etc/passwd can
// have. It may have variables.
func isCleanPath(p string) bool {
	p = withoutVariables(p)
	if !strings.HasPrefix(p, "/") || strings.ContainsAny(p, ":\x00\n") {
		return false
	}
	for part := range strings.SplitSeq(p[1:], "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}

// usersScript returns a script that creates users and their groups. One that exists, for
// example of a package, gets the groups and the shell.
func usersScript(users []User) string {
	var b strings.Builder
	for _, u := range users {
		add, change := []string{"useradd"}, []string{"usermod"}
		for _, g := range u.Groups {
			g = shellescape.Quote(g)
			fmt.Fprintf(&b, "getent group %s >/dev/null || groupadd --system %s\n", g, g)
		}
		if len(u.Groups) > 0 {
			groups := strings.Join(u.Groups, ",")
			add, change = append(add, "--groups", groups), append(change, "--append", "--groups", groups)
		}
		if u.Shell != "" {
			add, change = append(add, "--shell", u.Shell), append(change, "--shell", u.Shell)
		}
		if u.UID != nil {
			add = append(add, "--uid", fmt.Sprint(*u.UID))
		}
		if u.Home != "" {
			add = append(add, "--home-dir", u.Home)
		}
		if u.System {
			add = append(add, "--system")
		}
		if !u.System || u.Home != "" {
			add = append(add, "--create-home")
		}
		existing := ":"
		if len(change) > 1 {
			existing = shellescape.QuoteCommand(append(change, u.Name))
		}
		fmt.Fprintf(&b, "if id -u %s >/dev/null 2>&1; then %s; else %s; fi\n", shellescape.Quote(u.Name), existing, shellescape.QuoteCommand(append(add, u.Name)))
	}
	return b.String()
}

// servicesScript returns a script that says which services start at boot, whatever starts
// them. To turn off a service that does not exist is a no-op.
func servicesScript(services map[string]bool) string {
	if len(services) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(`service() {
	if [ -d /usr/lib/systemd/system ] && command -v systemctl >/dev/null; then
		case $2 in *.*) ;; *) set -- "$1" "$2.service" ;; esac
		if [ "$1" = on ]; then systemctl --quiet enable "$2"; else systemctl --quiet disable "$2" || :; fi
	elif command -v rc-update >/dev/null; then
		if [ "$1" = on ]; then rc-update --quiet add "$2" default; else rc-update --quiet --all del "$2" || :; fi
	elif [ "$1" = on ]; then update-rc.d "$2" defaults; update-rc.d "$2" enable
	else update-rc.d "$2" disable || :
	fi
}
`)
	for _, name := range slices.Sorted(maps.Keys(services)) {
		state := "off"
		if services[name] {
			state = "on"
		}
		fmt.Fprintf(&b, "service %s %s\n", state, shellescape.Quote(name))
	}
	return b.String()
}
