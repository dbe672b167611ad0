package guest

// runit gives a runit(8) a getty on the console: its gettys are for the terminals
// of a machine. A service that is there is left as it is.
func runit(w *writer, s Settings) {
	const services = "etc/runit/runsvdir/default"
	const run = services + "/getty-console/run"
	getty := w.find("getty")
	if getty == "" {
		getty = w.find("agetty")
	}
	if s.KeepConsole || s.Init != InitRunit || getty == "" || !w.has(services) || w.has(services+"/getty-console") {
		return
	}
	w.write(current{}, run, 0o755, "#!/bin/sh\n# "+marker+": made when it is missing\nexec "+getty+" -L 115200 console linux\n")
}
