package protocol

// InitName is how the holder's program is called where it is the init of a
// VPS.
const InitName = "croft-init"

// An Init is what that init is told.
type Init struct {
	Args     []string // the command; none: wait to be ended
	Dir      string
	UID, GID uint32
	Groups   []uint32
	Stop     int  // the signal that ends the command
	OOMScore int  // oom_score_adj of the command, if that of the init is 0
	Launch   bool // execute Args, and nothing else
}

const (
	initWait   = "wait"
	initRun    = "run"
	initLaunch = "launch"
)

// CommandLine is c for the init at path; ParseInit reads it.
func (c Init) CommandLine(path string) []string {
	if len(c.Args) == 0 {
		return []string{path, initWait}
	}
	groups := ""
	for _, g := range c.Groups {
		groups += itoa(int(g)) + ","
	}
	return append([]string{path, initRun, itoa(c.Stop), itoa(c.OOMScore), itoa(int(c.UID)), itoa(int(c.GID)), groups, c.Dir}, c.Args...)
}

// LaunchArgs make the program at path execute args with no signal blocked.
func LaunchArgs(path string, args []string) []string {
	return append([]string{path, initLaunch}, args...)
}

// IsInit reports whether the program that is called so is that init.
func IsInit(path string) bool {
	at := len(path) - len(InitName)
	return at > 0 && path[at:] == InitName && path[at-1] == '/'
}

// ParseInit reads what CommandLine or LaunchArgs has made.
func ParseInit(args []string) (c Init, err error) {
	if len(args) < 2 {
		return c, errInit
	}
	switch rest := args[2:]; {
	case args[1] == initWait && len(rest) == 0:
		return c, nil
	case args[1] == initLaunch && len(rest) > 0:
		c.Launch, c.Args = true, rest
		return c, nil
	case args[1] == initRun && len(rest) > 6:
		return parseRun(rest)
	}
	return c, errInit
}

const errInit = Error("no command line of " + InitName)

func parseRun(rest []string) (c Init, err error) {
	number := func(s string) int {
		n, ok := atoi(s)
		if !ok || n < 0 || n > 1<<32-1 {
			err = errInit
		}
		return n
	}
	c.Stop, c.OOMScore, c.UID, c.GID = number(rest[0]), number(rest[1]), uint32(number(rest[2])), uint32(number(rest[3]))
	for from, i := 0, 0; i < len(rest[4]); i++ {
		if rest[4][i] == ',' {
			c.Groups = append(c.Groups, uint32(number(rest[4][from:i])))
			from = i + 1
		}
	}
	c.Dir, c.Args = rest[5], rest[6:]
	return c, err
}
