package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"croft/internal/fail"
	"croft/runtime"
)

// A verb is one command, or a family of them.
type verb struct {
	name     string
	args     string   // its words, as help shows them: "NAME..."
	summary  string   // one line, as in a list of commands
	examples []string // command lines that croft accepts, one or two
	about    string   // what else a user should know: paragraphs, and lines that begin with a space, which stay as they are
	group    string   // the heading in the list of commands
	aliases  []string // other names of it, which are accepted
	atRoot   []string // names of it that need no family before them: croft images
	synonyms []string // what users of other tools type; hinted at, not accepted
	options  []option
	verbs    []*verb // of a family
	words    kind    // what its words name, for completion
	after    kind    // what the words after a NAME name

	// named says that a family is about one VPS, whose name may stand before
	// the command too: croft firewall web list.
	named bool

	// inside says that the last words are a command to run in the VPS: what
	// comes after the first before words, options too, is that command's.
	inside bool
	before int

	// query says that the verb only looks: it makes no directories for a root
	// that does not exist.
	query bool

	// foreign says that the verb is one of another command line, told of here
	// and run by that.
	foreign bool

	// statusInside says that the exit status is that of a command inside; our
	// own failures are 125 then.
	statusInside bool
	signals      signals

	// dashed is the option that -9 and -KILL give a value to; "" is none.
	dashed string

	run func(context.Context, *invocation) error
}

// A kind is what a word or an option's value names.
type kind int

const (
	anything kind = iota
	vpsNames
	stoppedNames // of VPSs
	runningNames
	activeNames // of VPSs that run or are paused
	pausedNames
	templateNames
	networkNames
	recipeNames
	commandNames
	shellNames
	fileNames
	addressesOfVPS // of those that are named on the line
	portsOfVPS
	firewallRulesOfVPS
	routesOfVPS
	bootsOfVPS
	listColumns
	listFilters
)

// ofVPS reports whether words of the kind are names of VPSs.
func (k kind) ofVPS() bool { return k >= vpsNames && k <= pausedNames }

// signals says whose the signals are that croft is sent while the verb runs.
type signals int

const (
	callOff     signals = iota // the first calls the command off, a second one ends croft at once
	theirs                     // what runs inside gets them; the runtime passes them on
	callOffOnce                // both: the first calls off what comes before, and what runs inside gets all
)

// An option of a verb. One without a placeholder takes no value.
type option struct {
	name        string // long
	also        string // another long one
	short       string
	placeholder string
	implied     string // the value if none is given by "="; "" must be given
	many        bool   // may be given several times
	usage       string
	kind        kind     // what its value names, for completion
	choices     []string // all its values, for completion
}

func (o option) takesValue() bool { return o.placeholder != "" }

// cliFlags are urfave/cli's flags for the verb's options. They only hold what
// was typed: values are read by get, which names the option if one is no good.
func (v *verb) cliFlags() []cli.Flag {
	var flags []cli.Flag
	for _, o := range v.options {
		switch {
		case !o.takesValue():
			flags = append(flags, &cli.BoolFlag{Name: o.name})
		case o.many:
			flags = append(flags, &cli.StringSliceFlag{Name: o.name})
		default:
			flags = append(flags, &cli.StringFlag{Name: o.name})
		}
	}
	return flags
}

func (v *verb) option(name string) (option, bool) {
	i := slices.IndexFunc(v.options, func(o option) bool { return name == o.name || name == o.also || name == o.short })
	if i < 0 || name == "" {
		return option{}, false
	}
	return v.options[i], true
}

func (v *verb) verb(name string) *verb {
	for _, sub := range v.verbs {
		if sub.name == name || slices.Contains(sub.aliases, name) {
			return sub
		}
	}
	return nil
}

// find is verb for a name that may also be one of a family's verb. It returns
// the path to the verb.
func (v *verb) find(name string) (*verb, []string) {
	if sub := v.verb(name); sub != nil {
		return sub, []string{sub.name}
	}
	for _, family := range v.verbs {
		for _, sub := range family.verbs {
			if slices.Contains(sub.atRoot, name) {
				return sub, []string{family.name, sub.name}
			}
		}
	}
	return nil, nil
}

// An invocation is one command as it was typed.
type invocation struct {
	*app
	flags *cli.Context
	verb  *verb
	path  []string // of the verb: template build
	words []string // what is no option
	place runtime.Options
	err   error // the first option that makes no sense
}

// has reports whether the option was given.
func (i *invocation) has(name string) bool { return i.flags.IsSet(name) }

// get reads the option name by parse; it is zero if the option was not given.
// The first error of all gets is in i.err, with the option's name.
func get[T any](i *invocation, name string, parse func(string) (T, error)) T {
	if !i.has(name) {
		var zero T
		return zero
	}
	return read(i, name, i.flags.String(name), parse)
}

// getMany is get for an option that may be given several times.
func getMany[T any](i *invocation, name string, parse func(string) (T, error)) []T {
	var all []T
	for _, s := range i.flags.StringSlice(name) {
		all = append(all, read(i, name, s, parse))
	}
	return all
}

func read[T any](i *invocation, name, s string, parse func(string) (T, error)) T {
	var value T
	err := error(nil)
	if s == "" {
		err = fmt.Errorf("it is empty")
	} else {
		value, err = parse(s)
	}
	if err != nil && i.err == nil {
		i.err = usageError("--%s: %w", name, err)
	}
	return value
}

// readGlobals reads the options of every command: where the files are, how to talk.
func (i *invocation) readGlobals() error {
	i.place = runtime.Options{
		Root:          setting(i, "root", "CROFT_ROOT", parseDirectory),
		Run:           setting(i, "run-dir", "CROFT_RUN_DIR", parseDirectory),
		CgroupManager: setting(i, "cgroup-manager", "CROFT_CGROUP_MANAGER", parseCgroupManager),
		LockTimeout:   get(i, "lock-timeout", parseDuration),
		Warn:          i.screen.warn,
		Command:       i.command(),
		CommandLine:   quote(append([]string{"croft"}, i.typed...)),
	}
	showProgress(i.screen, &i.place.Progress)
	i.app.debug = i.flags.Bool("debug")
	if i.app.debug {
		i.place.Debug = i.screen.log("debug: ")
	}
	return i.err
}

// manager returns the Manager for this command. Everything that can be wrong
// with the words and options has been looked at before.
func (i *invocation) manager() (Manager, error) {
	if i.err != nil {
		return nil, i.err
	}
	place := i.place
	place.Query = i.verb.query
	return i.connect(place)
}

// setting is the option's value, else the environment's; zero leaves it to the
// runtime. An empty variable is none.
func setting[T any](i *invocation, name, env string, parse func(string) (T, error)) T {
	text := i.getenv(env)
	if i.has(name) || text == "" {
		return get(i, name, parse)
	}
	value, err := parse(text)
	if err != nil && i.err == nil {
		i.err = usageError("%s: %w", env, err)
	}
	return value
}

// command is what others are told who find a VPS busy: "croft start web". The
// words of a command that runs inside are nobody else's business.
func (i *invocation) command() string {
	words := i.words
	if i.verb.inside {
		words = words[:min(len(words), i.verb.before)]
	}
	const most = 4
	if len(words) > most {
		words = append(words[:most:most], "…")
	}
	return strings.Join(append(append([]string{"croft"}, i.path...), words...), " ")
}

// one returns the only word, which is called what in an error.
func (i *invocation) one(what string) (string, error) {
	switch len(i.words) {
	case 1:
		return i.words[0], nil
	case 0:
		return "", usageError("%s: no %s given", strings.Join(i.path, " "), what)
	}
	return "", usageError("%s takes one %s; unexpected argument %q", strings.Join(i.path, " "), what, i.words[1])
}

// none refuses words.
func (i *invocation) none() error {
	if len(i.words) > 0 {
		return usageError("%s takes no argument; unexpected argument %q", strings.Join(i.path, " "), i.words[0])
	}
	return nil
}

// usageError is a command line that makes no sense.
func usageError(format string, args ...any) *fail.Error {
	return fail.New(fail.Usage, format, args...)
}
