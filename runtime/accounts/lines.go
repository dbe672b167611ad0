package accounts

import (
	"slices"
	"strings"
)

// lines are the lines of passwd(5), shadow(5), group(5) or gshadow(5). What is not
// changed stays as it is, also what is not valid.
type lines []string

func parse(text []byte) lines {
	s := strings.TrimSuffix(string(text), "\n")
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// text is the file; the last line ends too.
func (l lines) text() []byte {
	if len(l) == 0 {
		return nil
	}
	return []byte(strings.Join(l, "\n") + "\n")
}

// find returns the index of the first entry of name, as getpwnam(3) finds it; -1 if
// there is none. A line such as "+name:" is of NIS and not an entry.
func (l lines) find(name string) int {
	return slices.IndexFunc(l, func(line string) bool { return strings.HasPrefix(line, name+":") })
}

// fields returns the fields of the entry of name, nil if there is none.
func (l lines) fields(name string) []string {
	if n := l.find(name); n >= 0 {
		return strings.Split(l[n], ":")
	}
	return nil
}

// set replaces the entry of name, or adds it. A new entry comes before the first line
// of NIS: what follows "+" is found last.
func (l *lines) set(name string, fields []string) {
	line := strings.Join(fields, ":")
	if n := l.find(name); n >= 0 {
		(*l)[n] = line
		return
	}
	at := slices.IndexFunc(*l, func(line string) bool { return strings.HasPrefix(line, "+") || strings.HasPrefix(line, "-") })
	if at < 0 {
		at = len(*l)
	}
	*l = slices.Insert(*l, at, line)
}

// column returns the field n of all entries that have it.
func (l lines) column(n int) map[string]bool {
	all := map[string]bool{}
	for _, line := range l {
		if fields := strings.Split(line, ":"); len(fields) > n {
			all[fields[n]] = true
		}
	}
	return all
}

// padded returns fields with at least n of them.
func padded(fields []string, n int) []string {
	fields = slices.Clone(fields)
	for len(fields) < n {
		fields = append(fields, "")
	}
	return fields
}

// addMember adds name to the comma-separated members in the field n of the entry of
// group. No-op without the entry, and if name is a member.
func (l *lines) addMember(group string, n int, name string) {
	fields := l.fields(group)
	if fields == nil {
		return
	}
	fields = padded(fields, n+1)
	members := strings.FieldsFunc(fields[n], func(r rune) bool { return r == ',' })
	if slices.Contains(members, name) {
		return
	}
	fields[n] = strings.Join(append(members, name), ",")
	l.set(group, fields)
}
