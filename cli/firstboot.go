package cli

import (
	"croft/cli/values"
	"croft/internal/vps"
)

const firstBootAbout = `--first-boot runs SCRIPT once as root inside, when the VPS has booted next. Its first
line may name an interpreter (#!/bin/bash); otherwise /bin/sh runs it. "croft logs" has
its output. "start --wait" waits for it, and fails with status 11 if it fails; "croft
status" and "croft inspect" show that too.`

// noFirstBoot is the SCRIPT that withdraws one.
const noFirstBoot = "none"

// readFirstBoot reads the script that the option names; nil is none.
func readFirstBoot(i *invocation) ([]byte, error) {
	name := get(i, "first-boot", values.File)
	if name == "" || name == noFirstBoot || i.Err != nil {
		return nil, i.Err
	}
	script, err := i.readInput("--first-boot", name)
	if err != nil {
		return nil, err
	}
	if err := vps.CheckFirstBoot(script); err != nil {
		return nil, usageError("--first-boot %s: %w", name, err)
	}
	return script, nil
}
