package cmdline

// A Supplied is the value of an option that the user did not type, for example one
// of a file. An option without a placeholder has the value "yes" or "no".
type Supplied struct {
	Name, Value string
	From        string // the place of the value, for errors: "web.yaml:3: memory"
}

// Supply adds values of options, before those that were typed. The option is given
// then, for all methods of i.
func (i *Invocation) Supply(values ...Supplied) { i.supplied = append(i.supplied, values...) }

// With returns an invocation of the same verb and words that has these values of
// options, and nothing that was typed.
func (i *Invocation) With(values ...Supplied) *Invocation {
	return &Invocation{Verb: i.Verb, Path: i.Path, Words: i.Words, supplied: values}
}

// Typed reports whether the user typed the option.
func (i *Invocation) Typed(name string) bool { return i.flags != nil && i.flags.IsSet(name) }

// suppliedTo returns the values that are supplied to the option.
func (i *Invocation) suppliedTo(name string) []Supplied {
	var all []Supplied
	for _, s := range i.supplied {
		if s.Name == name {
			all = append(all, s)
		}
	}
	return all
}

// values returns all values of the option: first the supplied ones.
func (i *Invocation) values(name string, many bool) []Supplied {
	all := i.suppliedTo(name)
	if !i.Typed(name) {
		return all
	}
	texts := []string{i.flags.String(name)}
	if many {
		texts = i.flags.StringSlice(name)
	}
	for _, text := range texts {
		all = append(all, Supplied{name, text, "--" + name})
	}
	return all
}

// From returns the place of the option's value: "--NAME" if it was typed, "" if it
// was not given.
func (i *Invocation) From(name string) string {
	all := i.values(name, false)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1].From
}
