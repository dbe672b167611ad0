package protocol

// Environment returns the environment to start the holder with: env, and what
// keeps Go's runtime small. The garbage collector would run every two minutes
// for nothing, and every processor of the machine would cost some KiB.
func Environment(env []string) []string {
	out := []string{"GOGC=off", "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1"}
	for _, e := range env {
		if key, _ := cut(e); key == "GOGC" || key == "GOMAXPROCS" || key == "GODEBUG" {
			e = "CROFT_HELD_" + e
		}
		out = append(out, e)
	}
	return out
}

// RestoreEnvironment returns, in env's own memory, what Environment was given.
func RestoreEnvironment(env []string) []string {
	const held = "CROFT_HELD_"
	kept := env[:0]
	for _, e := range env {
		switch key, _ := cut(e); {
		case key == "GOGC" || key == "GOMAXPROCS" || key == "GODEBUG":
		case len(e) > len(held) && e[:len(held)] == held:
			kept = append(kept, e[len(held):])
		default:
			kept = append(kept, e)
		}
	}
	return kept
}
